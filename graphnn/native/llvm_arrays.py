"""What a step asks of arrays, as LLVM text. It reads the fields of their objects, which `selftest` has compared."""

# Whether an object is an array as an argument is to be: of this type, dtype and shape, and with these flags. (A record
# of an argument: the key it is looked up by, the dtype, the number of axes, where the sizes stand, the flags.)
FITS = """
define i1 @fits(ptr %object, ptr %record, ptr %type) nounwind {
entry:
  %type.p = getelementptr i8, ptr %object, i64 8
  %own.type = load ptr, ptr %type.p
  %is.array = icmp eq ptr %own.type, %type
  br i1 %is.array, label %array, label %no
array:
  %own.dtype.p = getelementptr i8, ptr %object, i64 56
  %own.dtype = load ptr, ptr %own.dtype.p
  %dtype.p = getelementptr i64, ptr %record, i64 1
  %dtype = load ptr, ptr %dtype.p
  %same.dtype = icmp eq ptr %own.dtype, %dtype
  %own.flags.p = getelementptr i8, ptr %object, i64 64
  %own.flags.32 = load i32, ptr %own.flags.p
  %own.flags = zext i32 %own.flags.32 to i64
  %flags.p = getelementptr i64, ptr %record, i64 4
  %flags = load i64, ptr %flags.p
  %set = and i64 %own.flags, %flags
  %all.set = icmp eq i64 %set, %flags
  %own.nd.p = getelementptr i8, ptr %object, i64 24
  %own.nd.32 = load i32, ptr %own.nd.p
  %own.nd = zext i32 %own.nd.32 to i64
  %nd.p = getelementptr i64, ptr %record, i64 2
  %nd = load i64, ptr %nd.p
  %same.nd = icmp eq i64 %nd, %own.nd
  %both = and i1 %same.dtype, %all.set
  %alike = and i1 %both, %same.nd
  br i1 %alike, label %axes, label %no
axes:
  %own.sizes.p = getelementptr i8, ptr %object, i64 32
  %own.sizes = load ptr, ptr %own.sizes.p
  %sizes.p = getelementptr i64, ptr %record, i64 3
  %sizes = load ptr, ptr %sizes.p
  %some = icmp sgt i64 %nd, 0
  br i1 %some, label %axis, label %yes
axis:
  %d = phi i64 [0, %axes], [%d.next, %axis.next]
  %own.size.p = getelementptr i64, ptr %own.sizes, i64 %d
  %own.size = load i64, ptr %own.size.p
  %size.p = getelementptr i64, ptr %sizes, i64 %d
  %size = load i64, ptr %size.p
  %same = icmp eq i64 %own.size, %size
  br i1 %same, label %axis.next, label %no
axis.next:
  %d.next = add i64 %d, 1
  %more = icmp slt i64 %d.next, %nd
  br i1 %more, label %axis, label %yes
yes:
  ret i1 true
no:
  ret i1 false
}
"""

# Whether the memory of a parameter's last value may be written to again: nobody but the state holds the array, and
# nobody but this array the one that it is a view of, which a step has made and sealed. Both are as the record says.
IS_FREE = """
define i1 @is_free(ptr %view, ptr %record, ptr %type) nounwind {
entry:
  %view.alone = call i1 @is_alone(ptr %view, i32 1024)
  br i1 %view.alone, label %view.fits, label %no
view.fits:
  %view.like = call i1 @fits(ptr %view, ptr %record, ptr %type)
  br i1 %view.like, label %base, label %no
base:
  %base.p = getelementptr i8, ptr %view, i64 48
  %own = load ptr, ptr %base.p
  %none = icmp eq ptr %own, null
  br i1 %none, label %no, label %base.fits
base.fits:
  %own.like = call i1 @fits(ptr %own, ptr %record, ptr %type)
  br i1 %own.like, label %last, label %no
last:
  %own.alone = call i1 @is_alone(ptr %own, i32 1024)
  %own.flags.p = getelementptr i8, ptr %own, i64 64
  %own.flags = load i32, ptr %own.flags.p
  %owning = and i32 %own.flags, 4
  %owns = icmp ne i32 %owning, 0
  %view.data.p = getelementptr i8, ptr %view, i64 16
  %view.data = load ptr, ptr %view.data.p
  %own.data.p = getelementptr i8, ptr %own, i64 16
  %own.data = load ptr, ptr %own.data.p
  %same = icmp eq ptr %view.data, %own.data
  %both = and i1 %own.alone, %owns
  %all = and i1 %both, %same
  ret i1 %all
no:
  ret i1 false
}

define i1 @is_alone(ptr %object, i32 %writeable) nounwind {
entry:
  %references = load i32, ptr %object
  %one = icmp eq i32 %references, 1
  br i1 %one, label %array, label %no
array:
  %flags.p = getelementptr i8, ptr %object, i64 64
  %flags = load i32, ptr %flags.p
  %open = and i32 %flags, %writeable
  %sealed = icmp eq i32 %open, 0
  %weak.p = getelementptr i8, ptr %object, i64 72
  %weak = load ptr, ptr %weak.p
  %unwatched = icmp eq ptr %weak, null
  %both = and i1 %sealed, %unwatched
  ret i1 %both
no:
  ret i1 false
}
"""

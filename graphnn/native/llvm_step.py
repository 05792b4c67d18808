"""How a table is run, as LLVM text; HEADER and PYTHON stand for the lines that `runtime` puts there."""

# Lays the addresses of the given arrays and of new ones into the table, runs it, and returns the new ones.
WORK = """
define ptr @work(ptr %table, ptr %objects) nounwind {
entry:
HEADER(calls, calls_at, given, given_at, made, made_at, results, long, python, updates, kept)
PYTHON(PyTuple_New, PyTuple_SetItem, PyObject_Vectorcall, empty, PyEval_SaveThread, PyEval_RestoreThread)
PYTHON(PyErr_SetString, PyErr_CheckSignals, Py_IncRef, Py_DecRef, PyExc_ValueError, refused, unlike, None)
PYTHON(PyArray_Type)
  %wrong.p = getelementptr i64, ptr %table, i64 WRONG
  %given.any = icmp sgt i64 %given, 0
  br i1 %given.any, label %put, label %make.begin
put:
  %g = phi i64 [0, %entry], [%g.next, %put]
  %g.base = mul i64 %g, 3
  %g.slot.p = getelementptr i64, ptr %given_at, i64 %g.base
  %g.slot = load ptr, ptr %g.slot.p
  %g.of.p = getelementptr i64, ptr %g.slot.p, i64 1
  %g.of = load i64, ptr %g.of.p
  %g.off.p = getelementptr i64, ptr %g.slot.p, i64 2
  %g.off = load i64, ptr %g.off.p
  %g.object.p = getelementptr ptr, ptr %objects, i64 %g.of
  %g.object = load ptr, ptr %g.object.p
  %g.data.p = getelementptr i8, ptr %g.object, i64 16
  %g.data = load ptr, ptr %g.data.p
  %g.here = getelementptr i8, ptr %g.data, i64 %g.off
  store ptr %g.here, ptr %g.slot
  %g.next = add i64 %g, 1
  %g.more = icmp slt i64 %g.next, %given
  br i1 %g.more, label %put, label %make.begin
make.begin:
  %tuple = call ptr %PyTuple_New(i64 %results)
  %tuple.none = icmp eq ptr %tuple, null
  br i1 %tuple.none, label %fail, label %make.head
make.head:
  %first.update = sub i64 %results, %updates
  %results.any = icmp sgt i64 %results, 0
  br i1 %results.any, label %make, label %run.begin
make:
  %m = phi i64 [0, %make.head], [%m.next, %make.put]
  %m.base = mul i64 %m, 6
  %m.record = getelementptr i64, ptr %made_at, i64 %m.base
  %m.update = sub i64 %m, %first.update
  %m.is.update = icmp sge i64 %m.update, 0
  br i1 %m.is.update, label %make.look, label %make.new
make.look:
  %m.kept.p = getelementptr ptr, ptr %kept, i64 %m.update
  %m.kept = load ptr, ptr %m.kept.p
  %m.nothing = icmp eq ptr %m.kept, %None
  br i1 %m.nothing, label %make.new, label %make.again
make.again:
  %m.own.p = getelementptr i8, ptr %m.kept, i64 48
  %m.own = load ptr, ptr %m.own.p
  call void %Py_IncRef(ptr %m.own)
  br label %make.put
make.new:
  %m.new = call ptr %PyObject_Vectorcall(ptr %empty, ptr %m.record, i64 2, ptr null)
  %m.none = icmp eq ptr %m.new, null
  br i1 %m.none, label %undo, label %make.check
make.check:
  %m.fits = call i1 @fits(ptr %m.new, ptr %m.record, ptr %PyArray_Type)
  br i1 %m.fits, label %make.put, label %make.unlike
make.unlike:
  call void %Py_DecRef(ptr %m.new)
  call void %PyErr_SetString(ptr %PyExc_ValueError, ptr %unlike)
  br label %undo
make.put:
  %m.array = phi ptr [%m.own, %make.again], [%m.new, %make.check]
  %m.array.p = getelementptr ptr, ptr %m.record, i64 5
  store ptr %m.array, ptr %m.array.p
  %m.set = call i32 %PyTuple_SetItem(ptr %tuple, i64 %m, ptr %m.array)
  %m.next = add i64 %m, 1
  %m.more = icmp slt i64 %m.next, %results
  br i1 %m.more, label %make, label %lay.head
lay.head:
  %lay.base = mul i64 %results, 6
  %lay.first = getelementptr i64, ptr %made_at, i64 %lay.base
  %lay.any = icmp sgt i64 %made, 0
  br i1 %lay.any, label %lay, label %run.begin
lay:
  %l = phi i64 [0, %lay.head], [%l.next, %lay]
  %l.base = mul i64 %l, 3
  %l.slot.p = getelementptr i64, ptr %lay.first, i64 %l.base
  %l.slot = load ptr, ptr %l.slot.p
  %l.of.p = getelementptr i64, ptr %l.slot.p, i64 1
  %l.of = load i64, ptr %l.of.p
  %l.off.p = getelementptr i64, ptr %l.slot.p, i64 2
  %l.off = load i64, ptr %l.off.p
  %l.record = mul i64 %l.of, 6
  %l.object.n = add i64 %l.record, 5
  %l.object.p = getelementptr ptr, ptr %made_at, i64 %l.object.n
  %l.object = load ptr, ptr %l.object.p
  %l.data.p = getelementptr i8, ptr %l.object, i64 16
  %l.data = load ptr, ptr %l.data.p
  %l.here = getelementptr i8, ptr %l.data, i64 %l.off
  store ptr %l.here, ptr %l.slot
  %l.next = add i64 %l, 1
  %l.more = icmp slt i64 %l.next, %made
  br i1 %l.more, label %lay, label %run.begin
run.begin:
  %calls.any = icmp sgt i64 %calls, 0
  br i1 %calls.any, label %which, label %done
which:
  %is.long = icmp ne i64 %long, 0
  br i1 %is.long, label %slow, label %fast
fast:
  %i = phi i64 [0, %which], [%i.next, %fast.next]
  %i.base = mul i64 %i, 5
  %call.p = getelementptr i64, ptr %calls_at, i64 %i.base
  call void @one(ptr %call.p)
  %wrong = load i64, ptr %wrong.p
  %is.wrong = icmp ne i64 %wrong, 0
  br i1 %is.wrong, label %refuse, label %fast.next
fast.next:
  %i.next = add i64 %i, 1
  %i.more = icmp slt i64 %i.next, %calls
  br i1 %i.more, label %fast, label %done
slow:
  %k = phi i64 [0, %which], [%k.next, %slow.next]
  %k.base = mul i64 %k, 5
  %slow.call.p = getelementptr i64, ptr %calls_at, i64 %k.base
  %thread = call ptr %PyEval_SaveThread()
  call void @one(ptr %slow.call.p)
  call void %PyEval_RestoreThread(ptr %thread)
  %asked = call i32 %PyErr_CheckSignals()
  %stopped = icmp slt i32 %asked, 0
  br i1 %stopped, label %undo, label %slow.on
slow.on:
  %slow.wrong = load i64, ptr %wrong.p
  %slow.is.wrong = icmp ne i64 %slow.wrong, 0
  br i1 %slow.is.wrong, label %refuse, label %slow.next
slow.next:
  %k.next = add i64 %k, 1
  %k.more = icmp slt i64 %k.next, %calls
  br i1 %k.more, label %slow, label %done
refuse:
  store i64 0, ptr %wrong.p
  call void %PyErr_SetString(ptr %PyExc_ValueError, ptr %refused)
  br label %undo
undo:
  call void %Py_DecRef(ptr %tuple)
  br label %fail
fail:
  ret ptr null
done:
  ret ptr %tuple
}

define void @one(ptr %call) nounwind {
  %function = load ptr, ptr %call
  %args.p = getelementptr ptr, ptr %call, i64 1
  %args = load ptr, ptr %args.p
  %dims.p = getelementptr ptr, ptr %call, i64 2
  %dims = load ptr, ptr %dims.p
  %steps.p = getelementptr ptr, ptr %call, i64 3
  %steps = load ptr, ptr %steps.p
  %data.p = getelementptr ptr, ptr %call, i64 4
  %data = load ptr, ptr %data.p
  call void %function(ptr %args, ptr %dims, ptr %steps, ptr %data)
  ret void
}
"""

# What Python calls with arrays: a segment.
RUN = """
define ptr @run(ptr %self, ptr %objects, i64 %n) nounwind {
entry:
  %table.p = getelementptr i8, ptr %self, i64 16
  %table = load ptr, ptr %table.p
HEADER(python, arguments, arguments_at)
PYTHON(PyArray_Type, PyErr_SetString, PyExc_ValueError, unlike)
  %same = icmp eq i64 %n, %arguments
  br i1 %same, label %head, label %no
head:
  %some = icmp sgt i64 %n, 0
  br i1 %some, label %look, label %yes
look:
  %i = phi i64 [0, %head], [%i.next, %next]
  %object.p = getelementptr ptr, ptr %objects, i64 %i
  %object = load ptr, ptr %object.p
  %base = mul i64 %i, 5
  %record = getelementptr i64, ptr %arguments_at, i64 %base
  %fits = call i1 @fits(ptr %object, ptr %record, ptr %PyArray_Type)
  br i1 %fits, label %next, label %no
next:
  %i.next = add i64 %i, 1
  %more = icmp slt i64 %i.next, %n
  br i1 %more, label %look, label %yes
yes:
  %result = call ptr @work(ptr %table, ptr %objects)
  ret ptr %result
no:
  call void %PyErr_SetString(ptr %PyExc_ValueError, ptr %unlike)
  ret ptr null
}
"""

# What a compiled step calls with a feed and the state: it looks up the arrays, runs the table, and puts the next values
# into the state, all of them or none. It returns None, and has done nothing, where anything is not as planned.
# The last value of a parameter that nobody holds any more is kept: the next step writes to its memory.
STEP = """
define ptr @step(ptr %self, ptr %args, i64 %n) nounwind {
entry:
  %table.p = getelementptr i8, ptr %self, i64 16
  %table = load ptr, ptr %table.p
HEADER(made_at, results, python, arguments, arguments_at, fed, objects_at, updates, updates_at, kept)
PYTHON(PyDict_Type, PyDict_Size, PyDict_GetItem, PyDict_SetItem, PyArray_Type, PyObject_Vectorcall, view)
PYTHON(Py_IncRef, Py_DecRef, PyErr_SetString, PyExc_ValueError, unlike, None)
  %feed = load ptr, ptr %args
  %state.p = getelementptr ptr, ptr %args, i64 1
  %state = load ptr, ptr %state.p
  %feed.type.p = getelementptr i8, ptr %feed, i64 8
  %feed.type = load ptr, ptr %feed.type.p
  %is.dict = icmp eq ptr %feed.type, %PyDict_Type
  br i1 %is.dict, label %measure, label %otherwise
measure:
  %size = call i64 %PyDict_Size(ptr %feed)
  %as.many = icmp eq i64 %size, %fed
  br i1 %as.many, label %look.head, label %otherwise
look.head:
  %some = icmp sgt i64 %arguments, 0
  br i1 %some, label %look, label %go
look:
  %i = phi i64 [0, %look.head], [%i.next, %look.next]
  %from.feed = icmp slt i64 %i, %fed
  %where = select i1 %from.feed, ptr %feed, ptr %state
  %base = mul i64 %i, 5
  %record = getelementptr i64, ptr %arguments_at, i64 %base
  %key = load ptr, ptr %record
  %object = call ptr %PyDict_GetItem(ptr %where, ptr %key)
  %found = icmp ne ptr %object, null
  br i1 %found, label %check, label %otherwise
check:
  %fits = call i1 @fits(ptr %object, ptr %record, ptr %PyArray_Type)
  br i1 %fits, label %look.next, label %otherwise
look.next:
  %object.p = getelementptr ptr, ptr %objects_at, i64 %i
  store ptr %object, ptr %object.p
  %i.next = add i64 %i, 1
  %more = icmp slt i64 %i.next, %arguments
  br i1 %more, label %look, label %hold
hold:
  %h = phi i64 [0, %look.next], [%h.next, %hold]
  %h.p = getelementptr ptr, ptr %objects_at, i64 %h
  %h.object = load ptr, ptr %h.p
  call void %Py_IncRef(ptr %h.object)
  %h.next = add i64 %h, 1
  %h.more = icmp slt i64 %h.next, %arguments
  br i1 %h.more, label %hold, label %go
go:
  %tuple = call ptr @work(ptr %table, ptr %objects_at)
  br i1 %some, label %let, label %worked
let:
  %t = phi i64 [0, %go], [%t.next, %let]
  %t.p = getelementptr ptr, ptr %objects_at, i64 %t
  %t.object = load ptr, ptr %t.p
  call void %Py_DecRef(ptr %t.object)
  %t.next = add i64 %t, 1
  %t.more = icmp slt i64 %t.next, %arguments
  br i1 %t.more, label %let, label %worked
worked:
  %failed = icmp eq ptr %tuple, null
  br i1 %failed, label %end, label %update.head
update.head:
  %first = sub i64 %results, %updates
  %any = icmp sgt i64 %updates, 0
  br i1 %any, label %seal, label %done
seal:
  %s = phi i64 [0, %update.head], [%s.next, %seal.next]
  %s.kept.p = getelementptr ptr, ptr %kept, i64 %s
  %s.kept = load ptr, ptr %s.kept.p
  %s.nothing = icmp eq ptr %s.kept, %None
  br i1 %s.nothing, label %seal.new, label %seal.again
seal.again:
  call void %Py_IncRef(ptr %None)
  store ptr %None, ptr %s.kept.p
  br label %seal.next
seal.new:
  %s.result = add i64 %first, %s
  %s.base = mul i64 %s.result, 6
  %s.made = getelementptr i64, ptr %made_at, i64 %s.base
  %s.array.p = getelementptr ptr, ptr %s.made, i64 5
  %s.array = load ptr, ptr %s.array.p
  %s.flags.p = getelementptr i8, ptr %s.array, i64 64
  %s.flags = load i32, ptr %s.flags.p
  %s.sealed = and i32 %s.flags, -1025
  store i32 %s.sealed, ptr %s.flags.p
  %s.new = call ptr %PyObject_Vectorcall(ptr %view, ptr %s.array.p, i64 1, ptr null)
  %s.none = icmp eq ptr %s.new, null
  br i1 %s.none, label %unseal.head, label %seal.check
seal.check:
  %s.base.u = mul i64 %s, 5
  %s.record = getelementptr i64, ptr %updates_at, i64 %s.base.u
  %s.fits = call i1 @fits(ptr %s.new, ptr %s.record, ptr %PyArray_Type)
  br i1 %s.fits, label %seal.next, label %seal.unlike
seal.unlike:
  call void %Py_DecRef(ptr %s.new)
  call void %PyErr_SetString(ptr %PyExc_ValueError, ptr %unlike)
  br label %unseal.head
seal.next:
  %s.view = phi ptr [%s.kept, %seal.again], [%s.new, %seal.check]
  %s.place = getelementptr ptr, ptr %objects_at, i64 %s
  store ptr %s.view, ptr %s.place
  %s.next = add i64 %s, 1
  %s.more = icmp slt i64 %s.next, %updates
  br i1 %s.more, label %seal, label %set
unseal.head:
  %u.any = icmp sgt i64 %s, 0
  br i1 %u.any, label %unseal, label %drop
unseal:
  %u = phi i64 [0, %unseal.head], [%u.next, %unseal]
  %u.p = getelementptr ptr, ptr %objects_at, i64 %u
  %u.view = load ptr, ptr %u.p
  call void %Py_DecRef(ptr %u.view)
  %u.next = add i64 %u, 1
  %u.more = icmp slt i64 %u.next, %s
  br i1 %u.more, label %unseal, label %drop
drop:
  call void %Py_DecRef(ptr %tuple)
  br label %end
set:
  %e = phi i64 [0, %seal.next], [%e.next, %set.next]
  %e.p = getelementptr ptr, ptr %objects_at, i64 %e
  %e.view = load ptr, ptr %e.p
  %e.base = mul i64 %e, 5
  %e.record = getelementptr i64, ptr %updates_at, i64 %e.base
  %e.key = load ptr, ptr %e.record
  %e.old = call ptr %PyDict_GetItem(ptr %state, ptr %e.key)
  %e.none = icmp eq ptr %e.old, null
  br i1 %e.none, label %set.over, label %set.look
set.look:
  %e.free = call i1 @is_free(ptr %e.old, ptr %e.record, ptr %PyArray_Type)
  br i1 %e.free, label %set.keep, label %set.over
set.keep:
  call void %Py_IncRef(ptr %e.old)
  %e.kept.p = getelementptr ptr, ptr %kept, i64 %e
  store ptr %e.old, ptr %e.kept.p
  call void %Py_DecRef(ptr %None)
  br label %set.over
set.over:
  %e.set = call i32 %PyDict_SetItem(ptr %state, ptr %e.key, ptr %e.view)
  call void %Py_DecRef(ptr %e.view)
  br label %set.next
set.next:
  %e.next = add i64 %e, 1
  %e.more = icmp slt i64 %e.next, %updates
  br i1 %e.more, label %set, label %done
done:
  ret ptr %tuple
end:
  ret ptr null
otherwise:
  call void %Py_IncRef(ptr %None)
  ret ptr %None
}
"""

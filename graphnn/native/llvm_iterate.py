"""How a table is run again and again, as LLVM text; HEADER and PYTHON stand for the lines that `runtime` puts there."""

# What a loop calls with an array of addresses, which has a row for each iteration: those of the arguments, then those
# of the results. The table is run for each row. There is no check: the loop has asked for what it needs. A second array
# has two numbers: in which column the address of a bool lies that ends the loop where it is False, or -1, which is also
# there when the bool has ended it; and, when it is done, how often the table was run.
ITERATE = """
define ptr @iterate(ptr %self, ptr %objects, i64 %n) nounwind {
entry:
  %table.p = getelementptr i8, ptr %self, i64 16
  %table = load ptr, ptr %table.p
HEADER(calls, calls_at, given, given_at, made, made_at, results, python, arguments)
PYTHON(PyErr_SetString, Py_IncRef, PyExc_ValueError, refused, None)
  %wrong.p = getelementptr i64, ptr %table, i64 WRONG
  %made.first = mul i64 %results, 6
  %laid_at = getelementptr i64, ptr %made_at, i64 %made.first
  %array = load ptr, ptr %objects
  %data.p = getelementptr i8, ptr %array, i64 16
  %data = load ptr, ptr %data.p
  %sizes.p = getelementptr i8, ptr %array, i64 32
  %sizes = load ptr, ptr %sizes.p
  %times = load i64, ptr %sizes
  %width.p = getelementptr i64, ptr %sizes, i64 1
  %width = load i64, ptr %width.p
  %second.p = getelementptr ptr, ptr %objects, i64 1
  %second = load ptr, ptr %second.p
  %second.data.p = getelementptr i8, ptr %second, i64 16
  %flag.p = load ptr, ptr %second.data.p
  %flag = load i64, ptr %flag.p
  %asks = icmp sge i64 %flag, 0
  %run.p = getelementptr i64, ptr %flag.p, i64 1
  store i64 %times, ptr %run.p
  %some.times = icmp sgt i64 %times, 0
  %some.calls = icmp sgt i64 %calls, 0
  %any = and i1 %some.times, %some.calls
  br i1 %any, label %time, label %done
time:
  %t = phi i64 [0, %entry], [%t.next, %on]
  %row.first = mul i64 %t, %width
  %row = getelementptr ptr, ptr %data, i64 %row.first
  call void @lay(ptr %given_at, i64 %given, ptr %row)
  %row.made = getelementptr ptr, ptr %row, i64 %arguments
  call void @lay(ptr %laid_at, i64 %made, ptr %row.made)
  br label %call
call:
  %i = phi i64 [0, %time], [%i.next, %call.next]
  %i.base = mul i64 %i, 5
  %call.p = getelementptr i64, ptr %calls_at, i64 %i.base
  call void @one(ptr %call.p)
  %wrong = load i64, ptr %wrong.p
  %is.wrong = icmp ne i64 %wrong, 0
  br i1 %is.wrong, label %refuse, label %call.next
call.next:
  %i.next = add i64 %i, 1
  %i.more = icmp slt i64 %i.next, %calls
  br i1 %i.more, label %call, label %time.next
time.next:
  %t.next = add i64 %t, 1
  br i1 %asks, label %ask, label %on
ask:
  %goes.at = getelementptr ptr, ptr %row, i64 %flag
  %goes.p = load ptr, ptr %goes.at
  %goes = load i8, ptr %goes.p
  %ended = icmp eq i8 %goes, 0
  br i1 %ended, label %end, label %on
end:
  store i64 %t.next, ptr %run.p
  store i64 -1, ptr %flag.p
  br label %done
on:
  %t.more = icmp slt i64 %t.next, %times
  br i1 %t.more, label %time, label %done
refuse:
  store i64 0, ptr %wrong.p
  call void %PyErr_SetString(ptr %PyExc_ValueError, ptr %refused)
  ret ptr null
done:
  call void %Py_IncRef(ptr %None)
  ret ptr %None
}

define void @lay(ptr %triples, i64 %count, ptr %addresses) nounwind {
entry:
  %any = icmp sgt i64 %count, 0
  br i1 %any, label %each, label %done
each:
  %i = phi i64 [0, %entry], [%i.next, %each]
  %base = mul i64 %i, 3
  %slot.p = getelementptr i64, ptr %triples, i64 %base
  %slot = load ptr, ptr %slot.p
  %of.p = getelementptr i64, ptr %slot.p, i64 1
  %of = load i64, ptr %of.p
  %off.p = getelementptr i64, ptr %slot.p, i64 2
  %off = load i64, ptr %off.p
  %address.p = getelementptr ptr, ptr %addresses, i64 %of
  %address = load ptr, ptr %address.p
  %here = getelementptr i8, ptr %address, i64 %off
  store ptr %here, ptr %slot
  %i.next = add i64 %i, 1
  %more = icmp slt i64 %i.next, %count
  br i1 %more, label %each, label %done
done:
  ret void
}
"""

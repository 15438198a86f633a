# SPDX-License-Identifier: Apache-2.0
#
# Reads what `strace -f` wrote of one durable save of the file `name` in `directory`, and checks the order of its calls:
#
#   1. the directory is opened with O_DIRECTORY
#   2. a temporary file is made in it with O_CREAT|O_EXCL, written, and flushed after its last write
#   3. renameat gives it its name, once
#   4. then the directory is flushed by that descriptor of 1, open at the time
#   5. then that descriptor is closed
#
# Any numbers may be the descriptors, and they may be used for something else before and after.

function fail(why) { print "line " NR ": " why; failed = 1; exit 1 }

# The path of a name relative to a descriptor.
function resolve(base, path) {
    if (path ~ /^\//) return path
    if (path == ".") return paths[base]
    return (base == "AT_FDCWD" ? "" : paths[base] "/") path
}

# The first quoted string of the call, or the one after it.
function quoted(number,    parts) { split(call, parts, "\""); return parts[2 * number] }
# An argument; names with a comma in them are beyond this.
function word(number,    parts) { split(arguments, parts, /, *|\)/); return parts[number] }

{
    process = $1
    call = $0
    sub(/^[0-9]+ +/, "", call)
    # Another thread was traced in between: put the two halves together.
    if (call ~ / <unfinished \.\.\.>$/) { sub(/ <unfinished \.\.\.>$/, "", call); halves[process] = call; next }
    if (call ~ /^<\.\.\. [a-z0-9_]+ resumed>/) { sub(/^<\.\.\. [a-z0-9_]+ resumed>/, "", call); call = halves[process] call }
    if (!match(call, /\) += +-?[0-9]+/)) next
    result = substr(call, RSTART, RLENGTH)
    sub(/^\) += +/, "", result)
    function_name = call; sub(/\(.*/, "", function_name)
    arguments = call; sub(/^[a-z0-9_]+\(/, "", arguments)
    if (result < 0) next
}

function_name == "openat" || function_name == "open" {
    path = function_name == "open" ? resolve("AT_FDCWD", quoted(1)) : resolve(word(1), quoted(1))
    paths[result] = path
    isDirectory[result] = path == directory && call ~ /O_DIRECTORY/
    if (call ~ /O_CREAT/ && call ~ /O_EXCL/) isFlushed[path] = 0
}

function_name ~ /^p?write/ && paths[word(1)] in isFlushed { isFlushed[paths[word(1)]] = 0 }

function_name == "fsync" {
    if (paths[word(1)] in isFlushed) isFlushed[paths[word(1)]] = 1
    if (renamed && isDirectory[word(1)]) flushed = word(1)
}

function_name ~ /^rename/ {
    from = function_name == "rename" ? resolve("AT_FDCWD", quoted(1)) : resolve(word(1), quoted(1))
    to = function_name == "rename" ? resolve("AT_FDCWD", quoted(2)) : resolve(word(3), quoted(2))
    if (to != directory "/" name) next
    if (renamed) fail("a second rename")
    if (!(from in isFlushed)) fail("what is renamed was not made with O_CREAT|O_EXCL")
    if (!isFlushed[from]) fail("what is renamed was not flushed after it was written")
    renamed = 1
}

function_name == "close" {
    if (flushed != "" && word(1) == flushed) closed = 1
    delete paths[word(1)]
    delete isDirectory[word(1)]
}

END {
    if (failed) exit 1
    if (!renamed) { print "there is no rename to " directory "/" name; exit 1 }
    if (flushed == "") { print "after the rename the directory is not flushed by a descriptor opened with O_DIRECTORY"; exit 1 }
    if (!closed) { print "the descriptor of the directory is not closed"; exit 1 }
    print "in order: the file flushed, renamed, the directory flushed and closed"
}

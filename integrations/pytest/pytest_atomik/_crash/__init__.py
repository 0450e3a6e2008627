"""What could a crash leave of a directory? One run of a function, and every state that a kill or a power cut could leave.

The rooms, in the order in which a run goes through them:

- `_calls` is the table of system calls that can change a file, for each kind of machine; `_filter` makes of it a seccomp
  filter that stops each of them and tells a supervisor (seccomp user notification: no privilege is needed, and threads
  and child processes inherit it).
- `_child` runs the function in a forked child under the filter. `_process` looks into the processes that are stopped.
- `_recorder` supervises: at each stop it writes to the log (`_log`) what the call *before* has done, and lets the call go.
- `_states` reads the log and says what names and contents each crash leaves. `_stage` makes the directory hold them.
- `_explain` tells a test that fails what its directory holds, compared with the old and the new version.
- `_run` is what `atomic_tmp.crashes` returns. Where the kernel refuses, it takes `_publications`, which kills the function
  again and again, at each step of each publication that it makes with Atomik, and puts the directory back by `_snapshot`.

A test may mock `os`, `pathlib`, `socket` or `builtins.open`. The engine must not be deceived by that: it calls the C
modules (`posix`, `_socket`) directly.
"""

"""What only Windows can be asked: the one place that knows the names of its functions.

They are called by ctypes, which is loaded when one is needed; nothing here works elsewhere. Source:
Microsoft's reference of the functions named.
"""

from __future__ import annotations

import sys

if sys.platform == "win32":
    _SHARING = (32, 33)  # ERROR_SHARING_VIOLATION, ERROR_LOCK_VIOLATION
    _WHOLE = 0xFFFFFFFF  # both halves of the length that Codex locks [seen]
    _AT_ONCE = 3  # LOCKFILE_EXCLUSIVE_LOCK | LOCKFILE_FAIL_IMMEDIATELY
    # GENERIC_READ, GENERIC_WRITE and DELETE, which a rename needs
    _ALL_ACCESS, _SHARE_ALL, _OPEN_EXISTING = 0xC0010000, 7, 3
    _PROFILE = b"\x8f\x85\x6c\x5e\x22\x0e\x60\x47\x9a\xfe\xea\x33\x17\xb6\x71\x73"
    _LISTENERS, _TOO_SMALL = 3, 122  # TCP_TABLE_OWNER_PID_LISTENER, ERROR_INSUFFICIENT_BUFFER
    # AF_INET, AF_INET6: the size of a row, and where its port and its process stand in it.
    _TABLES = ((2, 24, 8, 20), (23, 56, 20, 52))
    _PROCESSES = 2  # TH32CS_SNAPPROCESS
    _BROKEN_PIPE = 109  # ERROR_BROKEN_PIPE
    _SEQUENCES = 4  # ENABLE_VIRTUAL_TERMINAL_PROCESSING

    def lock(descriptor: int) -> bool:
        """Lock a whole file if it is free, by the call and the range of Codex (LockFileEx)."""
        import ctypes
        import msvcrt

        handle = ctypes.c_void_p(msvcrt.get_osfhandle(descriptor))
        overlapped = (ctypes.c_ulonglong * 4)()  # from the first byte
        return bool(
            ctypes.windll.kernel32.LockFileEx(handle, _AT_ONCE, 0, _WHOLE, _WHOLE, overlapped)
        )

    def is_in_use(path: str) -> bool:
        """Return whether another program has a file open so that it cannot be changed now."""
        import ctypes

        kernel32 = ctypes.WinDLL("kernel32", use_last_error=True)
        kernel32.CreateFileW.restype = ctypes.c_void_p
        arguments = _ALL_ACCESS, _SHARE_ALL, None, _OPEN_EXISTING, 0, None
        handle = kernel32.CreateFileW(ctypes.c_wchar_p(path), *arguments)
        if handle == ctypes.c_void_p(-1).value:
            return ctypes.get_last_error() in _SHARING
        kernel32.CloseHandle(ctypes.c_void_p(handle))
        return False

    def profile_folder() -> str:
        """Return the user's folder as the system knows it, or an empty text if it does not.

        As Codex asks; %USERPROFILE% may say anything (SHGetKnownFolderPath, FOLDERID_Profile).
        """
        import ctypes

        found = ctypes.c_wchar_p()
        identifier = ctypes.create_string_buffer(_PROFILE, len(_PROFILE))
        ctypes.windll.shell32.SHGetKnownFolderPath(identifier, 0, None, ctypes.byref(found))
        path = found.value or ""
        ctypes.windll.ole32.CoTaskMemFree(found)
        return path

    def is_in_profile(path: str) -> bool:
        """Return whether a path is in that folder, where nobody else may look."""
        import os

        profile, path = map(os.path.normcase, (profile_folder(), os.path.abspath(path)))
        return bool(profile) and f"{path}\\".startswith(f"{profile}\\")

    def listener_on(port: int) -> int:
        """Return the process that listens on a TCP port, or 0 (GetExtendedTcpTable)."""
        for family, size, port_at, process_at in _TABLES:
            for row in _listeners(family, size):
                if int.from_bytes(row[port_at : port_at + 2], "big") == port:
                    return int.from_bytes(row[process_at : process_at + 4], "little")
        return 0

    def _listeners(family: int, row_size: int) -> list[bytes]:
        """Return the rows of a table, which may grow between two calls."""
        import ctypes

        ask = ctypes.windll.iphlpapi.GetExtendedTcpTable
        size, table, told = ctypes.c_ulong(0), ctypes.create_string_buffer(4), _TOO_SMALL
        for _ in range(5):
            told = ask(table, ctypes.byref(size), False, family, _LISTENERS, 0)
            if told != _TOO_SMALL:
                break
            table = ctypes.create_string_buffer(size.value)
        count = 0 if told else int.from_bytes(table.raw[:4], "little")
        rows = range(4, 4 + row_size * count, row_size)
        return [table.raw[start : start + row_size] for start in rows]

    def programs() -> dict[int, tuple[str, int]]:
        """Return name and parent of every process (CreateToolhelp32Snapshot)."""
        import ctypes

        class Entry(ctypes.Structure):  # PROCESSENTRY32W
            _fields_ = (
                *((name, ctypes.c_uint32) for name in ("size", "usage", "process")),
                ("heap", ctypes.c_size_t),
                *((name, ctypes.c_uint32) for name in ("module", "threads", "parent")),
                ("priority", ctypes.c_int32),
                ("flags", ctypes.c_uint32),
                ("name", ctypes.c_wchar * 260),
            )

        kernel32, entry, found = ctypes.windll.kernel32, Entry(), dict[int, tuple[str, int]]()
        entry.size = ctypes.sizeof(Entry)
        kernel32.CreateToolhelp32Snapshot.restype = ctypes.c_void_p
        snapshot = ctypes.c_void_p(kernel32.CreateToolhelp32Snapshot(_PROCESSES, 0))
        more = kernel32.Process32FirstW(snapshot, ctypes.byref(entry))
        while more:
            found[entry.process] = entry.name, entry.parent
            more = kernel32.Process32NextW(snapshot, ctypes.byref(entry))
        kernel32.CloseHandle(snapshot)
        return found

    def pipe_state(descriptor: int) -> tuple[bool, bool]:
        """Return whether a pipe holds something, and whether its other end is closed.

        Source: PeekNamedPipe. What is no pipe does neither.
        """
        import ctypes
        import msvcrt

        kernel32, held = ctypes.WinDLL("kernel32", use_last_error=True), ctypes.c_ulong()
        handle = ctypes.c_void_p(msvcrt.get_osfhandle(descriptor))
        if kernel32.PeekNamedPipe(handle, None, 0, None, ctypes.byref(held), None):
            return held.value > 0, False
        return False, ctypes.get_last_error() == _BROKEN_PIPE

    def show_sequences(descriptor: int) -> bool:
        """Have a console follow escape sequences; returns whether it does (SetConsoleMode)."""
        import ctypes
        import msvcrt

        kernel32, mode = ctypes.windll.kernel32, ctypes.c_ulong()
        handle = ctypes.c_void_p(msvcrt.get_osfhandle(descriptor))
        if not kernel32.GetConsoleMode(handle, ctypes.byref(mode)):
            return False
        return bool(kernel32.SetConsoleMode(handle, mode.value | _SEQUENCES))

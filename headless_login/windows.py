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

    def show_sequences(descriptor: int) -> bool:
        """Have a console follow escape sequences; returns whether it does (SetConsoleMode)."""
        import ctypes
        import msvcrt

        kernel32, mode = ctypes.windll.kernel32, ctypes.c_ulong()
        handle = ctypes.c_void_p(msvcrt.get_osfhandle(descriptor))
        if not kernel32.GetConsoleMode(handle, ctypes.byref(mode)):
            return False
        return bool(kernel32.SetConsoleMode(handle, mode.value | _SEQUENCES))

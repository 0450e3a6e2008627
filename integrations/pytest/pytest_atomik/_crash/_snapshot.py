"""A directory as it was at one moment, to be put back any number of times."""

from __future__ import annotations

from ._keep import folder_beside, real_path, remove
from ._log import Store
from ._recorder import Recorder
from ._stage import Stage
from ._states import layer_after


class Snapshot:
    """Puts a directory back: only what differs is touched, and inodes stay what they were if they are still there."""

    def __init__(self, path: str) -> None:
        """Look at a directory, and put aside what it holds."""
        top = real_path(path)
        self.folder = folder_beside(top)
        try:
            self._store = Store(f"{self.folder}/store")
            recorder = Recorder(top, self.folder, self._store)
            self._layer = layer_after(recorder.log)
            self._stage = Stage(top, recorder.root, f"{self.folder}/park", self._store, self._layer)
        except BaseException:
            remove(self.folder)
            raise

    def restore(self) -> None:
        """Make the directory what it was."""
        self._stage.repair()
        self._stage.show(self._layer, (), ())

    def close(self) -> None:
        """Forget it; the directory stays as it is now."""
        self._store.close()
        remove(self.folder)

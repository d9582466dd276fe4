"""What keeps one measurement from being made."""


class PointError(Exception):
    """The server or the client did not do what was asked: `status` says how that is called."""

    def __init__(self, status: str, why: str) -> None:
        super().__init__(why)
        self.status = status
        """One of "refused" (the server turned connections away), "timeout" and "failed"."""

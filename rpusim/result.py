"""What results have in common: a table for pandas, and a picture."""

from __future__ import annotations

from typing import Any

from rpusim.optional import need

__all__ = ["Result"]


class Result:
    """Base of the results: plain arrays that become a table or a picture on request."""

    def to_pandas(self) -> Any:
        """Return a `pandas.DataFrame`; its columns are named after the arrays.

        Raises
        ------
        MissingPackage
            If pandas is not installed.
        """
        pandas = need("pandas", "pandas", f"{type(self).__name__}.to_pandas")
        return pandas.DataFrame(self._table())

    def plot(self, ax: Any = None) -> Any:
        """Draw the result.

        Parameters
        ----------
        ax : matplotlib.axes.Axes, optional
            Where; by default the axes of a new pyplot figure.

        Returns
        -------
        matplotlib.axes.Axes

        Raises
        ------
        MissingPackage
            If matplotlib is not installed.
        """
        if ax is None:
            ax = need("matplotlib.pyplot", "plot", f"{type(self).__name__}.plot").subplots()[1]
        self._draw(ax)
        return ax

    def _table(self) -> dict[str, Any]:
        """Return the columns by name, of equal length."""
        raise NotImplementedError

    def _draw(self, ax: Any) -> None:
        """Draw into some axes."""
        raise NotImplementedError

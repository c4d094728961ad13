from __future__ import annotations

from xseg.reports.confusion import confusion_cells


def test_the_confusion_matrix_shows_shares_of_the_labelled_pixels():
    cells = confusion_cells(((3, 1, 0), (0, 0, 0), (0, 1, 999)), ("a", "b", "c"), "pixels")
    assert [[cell.percent for cell in row] for row in cells] == [["75", "25", ""], ["", "", ""], ["", "", "100"]]
    assert cells[0][1].share == 0.25
    assert cells[0][1].hint == "a predicted as b: 25.0 % (1 pixels)"
    assert [[cell.count for cell in row] for row in cells] == [[3, 1, 0], [0, 0, 0], [0, 1, 999]]
    assert [cell.share for cell in cells[1]] == [None, None, None]
    assert [cell.diagonal for cell in cells[2]] == [False, False, True]

import pytest
from PySide6 import QtCore, QtWidgets


@pytest.mark.parametrize("number", range(2))
def test_button(qtbot, number):
    button = QtWidgets.QPushButton(str(number))
    qtbot.addWidget(button)
    clicks = []
    button.clicked.connect(lambda: clicks.append(number))
    with qtbot.waitSignal(button.clicked, timeout=5000):
        qtbot.mouseClick(button, QtCore.Qt.LeftButton)
    assert clicks == [number]


def test_timer(qtbot):
    timer = QtCore.QTimer()
    timer.setSingleShot(True)
    with qtbot.waitSignal(timer.timeout, timeout=5000):
        timer.start(10)


def test_model(qtmodeltester):
    model = QtCore.QStringListModel(["a", "b"])
    qtmodeltester.check(model)


def test_no_signal(qtbot):
    timer = QtCore.QTimer()
    with qtbot.waitSignal(timer.timeout, timeout=20):
        pass


def test_raises_in_slot(qtbot):
    def fail():
        raise ValueError("in a slot")

    QtCore.QTimer.singleShot(0, fail)
    qtbot.wait(50)

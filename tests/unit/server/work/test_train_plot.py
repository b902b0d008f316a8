from dataclasses import replace
from xml.etree import ElementTree

from projectone.server.work.train_plot import Curves, training_svg

SVG = "{http://www.w3.org/2000/svg}"
CURVES = Curves(
    loss=[(step, 6.0 / step) for step in range(1, 2001)],
    dev_wer=[(0, 0.9), (100, 0.4), (200, 0.5)],
    general_wer=[(0, 0.2), (100, 0.21), (200, 0.23)],
    alpha_wer=[(1.0, 0.4), (0.5, 0.6)],
    alpha_general_wer=[],
    chosen_step=100,
    chosen_alpha=1.0,
)


def points(svg: str) -> list[list[tuple[float, float]]]:
    lines = ElementTree.fromstring(svg).iter(f"{SVG}polyline")
    return [[tuple(map(float, pair.split(","))) for pair in line.attrib["points"].split()] for line in lines]


def test_every_curve_is_drawn_inside_the_picture_and_the_right_way_up() -> None:
    svg = training_svg(CURVES)
    lines = points(svg)
    assert len(lines) == 4
    loss, held_back, general, alpha = lines
    assert len(loss) <= 600
    assert loss[0][1] < loss[-1][1]  # up is less in SVG: the loss falls
    assert held_back[0][1] < general[0][1]
    assert alpha[0][0] < alpha[1][0]
    assert all(0 <= x <= 300 and 0 <= y <= 240 for line in lines for x, y in line)


def test_the_same_curves_give_the_same_bytes() -> None:
    assert training_svg(CURVES) == training_svg(CURVES)


def test_what_was_not_measured_is_said_and_one_value_is_no_error() -> None:
    nothing = replace(CURVES, dev_wer=[], general_wer=[], alpha_wer=[], loss=[(1, 0.0)])
    svg = training_svg(nothing)
    assert svg.count("not measured in this run") == 2
    assert len(points(svg)) == 1
    assert points(training_svg(replace(CURVES, dev_wer=[(0, 0.0), (5, 0.0)])))

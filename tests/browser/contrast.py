"""The contrast of every text that is seen on a page, as WCAG 2 computes it (1.4.3)."""

from __future__ import annotations

from typing import NamedTuple

from playwright.sync_api import Page

# Every text that is seen, with its contrast and the least it may have: 4.5, and 3 for large text (WCAG 2, 1.4.3).
_CONTRASTS = """(within) => {
  const context = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  const parts = (color) => {  // red, green, blue, alpha, however it is written
    context.clearRect(0, 0, 1, 1); context.fillStyle = color; context.fillRect(0, 0, 1, 1);
    const [r, g, b, a] = context.getImageData(0, 0, 1, 1).data;
    return [r, g, b, a / 255];
  };
  const over = (top, ground) => top.slice(0, 3).map((c, i) => c * top[3] + ground[i] * (1 - top[3])).concat(1);
  const linear = (c) => (c <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4);
  const light = ([r, g, b]) => 0.2126 * linear(r / 255) + 0.7152 * linear(g / 255) + 0.0722 * linear(b / 255);
  const page = document.createElement("p");
  page.style.color = "Canvas"; document.body.append(page);
  const canvas = parts(getComputedStyle(page).color); page.remove();
  const ground = (element) => {
    const layers = [];
    for (let e = element; e; e = e.parentElement) {
      const shape = e.tagName === "g" && e.querySelector(":scope > .shape");
      const fill = shape && getComputedStyle(shape).fill;
      layers.push(fill && fill !== "none" ? parts(fill) : parts(getComputedStyle(e).backgroundColor));
    }
    return layers.reverse().reduce((below, layer) => over(layer, below), canvas);
  };
  const found = [], walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  for (let node; (node = walk.nextNode());) {
    const element = node.parentElement, style = getComputedStyle(element);
    if (!element.closest(within) || element.closest("script, style, title")) continue;
    if (!node.data.trim() || !element.getClientRects().length) continue;
    let opacity = 1;
    for (let e = element; e; e = e.parentElement) opacity *= getComputedStyle(e).opacity;
    const color = parts(element.closest("svg") ? style.fill : style.color), below = ground(element);
    color[3] *= opacity;
    const [a, b] = [light(over(color, below)), light(below)].sort((x, y) => y - x);
    const size = parseFloat(style.fontSize), large = size >= 24 || (size >= 18.66 && style.fontWeight >= 700);
    found.push([(a + 0.05) / (b + 0.05), large ? 3 : 4.5, node.data.trim().slice(0, 60)]);
  }
  return found;
}"""


class Text(NamedTuple):
    """A text, its contrast, and the least that it may have."""

    ratio: float
    least: float
    text: str


def contrasts(page: Page, within: str = "body") -> list[Text]:
    """The texts within elements of that selector."""
    return [Text(round(ratio, 2), least, text) for ratio, least, text in page.evaluate(_CONTRASTS, within)]

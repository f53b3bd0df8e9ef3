// What the pictures show, and under what names they are kept.
export const STATES = ['green', 'hung', 'member-db', 'two-roots', 'blind', 'starting', 'mixed', 'edge', 'recovering'];
export const SHAPES = { wall: { width: 1920, height: 1080 }, phone: { width: 390, height: 844 } };
export const THEMES = ['dark', 'light'];
export const LANGS = ['en', 'zh'];

export function nameOf({ shape, state, theme, lang }) {
  return `${shape}-${state}-${theme}-${lang}.png`;
}

/** Every way in which a state is looked at. */
export const VIEWS = Object.entries(SHAPES).flatMap(([shape, viewport]) =>
  THEMES.flatMap((theme) => LANGS.map((lang) => ({ shape, viewport, theme, lang }))),
);

/** The first words of the clock have come from the stream; what moves once is brought to its end by the picture. */
export async function settle(page) {
  await page.waitForFunction(() => document.getElementById('clock')?.dataset.state === 'live');
  await page.waitForTimeout(250);
}

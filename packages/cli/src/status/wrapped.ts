/** The narrowest terminal that somebody looks at this with at three in the morning. */
const WIDTH = 80;

/** A heading and its parts, separated by commas and broken between them; lines after the first are indented as far as the heading is wide. */
export function wrapped(heading: string, parts: readonly string[]): string {
  const indent = ' '.repeat(heading.length + 1);
  const lines: string[] = [];
  let line = heading;
  let width = heading.length;
  for (const [index, part] of parts.entries()) {
    const text = index === parts.length - 1 ? part : `${part},`;
    if (width + 1 + text.length > WIDTH && width > indent.length) {
      lines.push(line);
      line = indent.slice(1);
      width = line.length;
    }
    line += ` ${text}`;
    width += 1 + text.length;
  }
  return [...lines, line].join('\n');
}

import { init } from 'echarts';
import { misses, type Row, show } from './report.ts';

const WIDTH = 1100;
const ROW_HEIGHT = 26;
const MARGIN = { top: 60, bottom: 40 } as const;
const MET = '#2f7d4f';
const MISSED = '#c0392b';
const PLAIN = '#2f6f9f';

/** An SVG of how many times as much Cable does a second, on a logarithmic scale; the line at 1 is the neutron-server. */
export function drawRatios(rows: readonly Row[]): string {
  const chart = init(null, null, {
    ...{ renderer: 'svg', ssr: true, width: WIDTH },
    height: MARGIN.top + MARGIN.bottom + Math.max(1, rows.length) * ROW_HEIGHT,
  });
  chart.setOption({
    animation: false,
    title: {
      text: 'Cable and a stock neutron-server 21, in one run: requests a second, as a ratio',
      left: 16,
      top: 12,
    },
    grid: { left: 320, right: 250, ...MARGIN },
    xAxis: { type: 'log', axisLabel: { formatter: (value: number) => `${value}×` } },
    yAxis: {
      ...{ type: 'category', inverse: true },
      data: rows.map(({ what, clients }) => `${what}, ${clients} ${clients === 1 ? 'client' : 'clients'}`),
    },
    series: [
      {
        type: 'bar',
        barWidth: 14,
        data: rows.map((row) => ({
          value: row.ratio,
          itemStyle: { color: colourOf(row) },
          label: {
            show: true,
            position: 'right',
            formatter: `${show(row.ratio)}× (${show(row.cable.perSecond)} and ${show(row.neutron.perSecond)} a second)`,
          },
        })),
        markLine: { symbol: 'none', data: [{ xAxis: 1 }], label: { show: false }, lineStyle: { type: 'solid' } },
      },
    ],
  });
  const svg = chart.renderToSVGString();
  chart.dispose();
  return svg;
}

function colourOf(row: Row): string {
  if (misses(row)) return MISSED;
  return row.goal === null && row.p99GoalMs === null ? PLAIN : MET;
}

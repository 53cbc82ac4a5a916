import { init } from 'echarts';
import { misses, type Row, show } from './rows.ts';

const WIDTH = 1100;
const ROW_HEIGHT = 34;
const MARGIN = { top: 70, bottom: 40 } as const;
const MET = '#2f7d4f';
const MISSED = '#c0392b';

/**
 * An SVG of the rows that have a goal: each bar is the figure (its 99th percentile where there is one) as a part of the goal, on a logarithmic scale;
 * the line at 1 is the goal itself.
 */
export function drawRows(rows: readonly Row[]): string {
  const judged = rows.filter((row) => row.goal !== null);
  const chart = init(null, null, {
    renderer: 'svg',
    ssr: true,
    width: WIDTH,
    height: MARGIN.top + MARGIN.bottom + Math.max(1, judged.length) * ROW_HEIGHT,
  });
  chart.setOption({
    animation: false,
    title: { text: 'Cable at scale: figures as a part of their goals', left: 16, top: 12 },
    grid: { left: 380, right: 170, ...MARGIN },
    xAxis: { type: 'log', min: 0.001, axisLabel: { formatter: (value: number) => `${value}×` } },
    yAxis: {
      type: 'category',
      inverse: true,
      data: judged.map((row) => `${row.world}: ${row.what}`),
      axisLabel: { width: 350, overflow: 'truncate' },
    },
    series: [
      {
        type: 'bar',
        barWidth: 16,
        data: judged.map((row) => ({
          value: Math.max(0.001, figure(row) / (row.goal ?? 1)),
          itemStyle: { color: misses(row) ? MISSED : MET },
          label: {
            show: true,
            position: 'right',
            formatter: `${show(figure(row))} of ${show(row.goal ?? 0)} ${row.unit}`,
          },
        })),
        markLine: { symbol: 'none', data: [{ xAxis: 1 }], label: { formatter: 'goal' }, lineStyle: { type: 'solid' } },
      },
    ],
  });
  const svg = chart.renderToSVGString();
  chart.dispose();
  return svg;
}

function figure(row: Row): number {
  return row.p99 ?? row.value;
}

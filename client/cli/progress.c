/* progress.c - one line, redrawn in place. */
#include <stdio.h>
#include <unistd.h>

#include "client/cli/output.h"
#include "client/cli/progress.h"
#include "common/clock.h"

enum { BAR_CELLS = 30, REDRAW_US = 100000 };

void progress_begin(struct progress *p, const char *label, uint64_t total)
{
	*p = (struct progress){.label = label, .total = total, .started_us = clock_us(), .shown = isatty(STDERR_FILENO)};
}

void progress_update(struct progress *p, uint64_t done, const char *unit)
{
	uint64_t now = clock_us();
	char count[32], bar[BAR_CELLS + 1], rate[64] = "";
	if (!p->shown || now - p->drawn_us < REDRAW_US) return;
	p->drawn_us = now;
	if (unit && now > p->started_us)
		snprintf(rate, sizeof(rate), "  %.0f %s/s", (double)done * 1e6 / (double)(now - p->started_us), unit);
	if (!p->total) {
		fprintf(stderr, "\r%s  %s%s\033[K", p->label, count_text(done, count, sizeof(count)), rate);
		return;
	}
	double share = done >= p->total ? 1 : (double)done / (double)p->total;
	for (int i = 0; i < BAR_CELLS; i++) bar[i] = i < (int)(share * BAR_CELLS) ? '#' : '.';
	bar[BAR_CELLS] = 0;
	fprintf(stderr, "\r%s  [%s] %3.0f %%%s\033[K", p->label, bar, share * 100, rate);
}

void progress_end(struct progress *p)
{
	if (p->shown && p->drawn_us) fputs("\r\033[K", stderr);
	p->shown = false;
}

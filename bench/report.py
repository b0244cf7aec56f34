"""From measured points to what is read: fronts, tables and plots. A point is {"build", "search", "recall", "qps"}."""
import math

RECALLS = (0.90, 0.95, 0.99, 0.999)


def front(points):
    """The points that no other beats in both recall and QPS, by rising recall."""
    kept = []
    for point in sorted(points, key=lambda p: (-p["recall"], -p["qps"])):
        if not kept or point["qps"] > kept[-1]["qps"]:
            kept.append(point)
    return kept[::-1]


def qps_at(points, recall):
    """(QPS, known): by interpolation between neighbours of the front, the logarithm of QPS linear in recall. (QPS, False) if even the least
    effort of the grid finds more, so that it may be faster still; None if the recall was not reached."""
    whole = len(points) == 1  # exact search knows no effort
    points = front(points)
    for below, above in zip([None] + points, points):
        if above["recall"] >= recall:
            if below is None:
                return above["qps"], whole or above["recall"] - recall < 1e-9
            share = (recall - below["recall"]) / (above["recall"] - below["recall"])
            return math.exp((1 - share) * math.log(below["qps"]) + share * math.log(above["qps"])), True
    return None


def best_at(points, recall):
    """The same for an engine with all its builds: of their common front, or of one build alone, whose points may lie closer together."""
    groups = [points, *([p for p in points if p["build"] == build] for build in {p["build"] for p in points})]
    return max((found for found in (qps_at(group, recall) for group in groups) if found), default=None)


def rounded(number):
    return f"{number:,.0f}" if number >= 100 else f"{number:.1f}"


def cell(found):
    return "-" if found is None else ("" if found[1] else "> ") + rounded(found[0])


def markdown(rows):
    return "\n".join("| " + " | ".join(row) + " |" for row in [rows[0], ["---"] * len(rows[0]), *rows[1:]]) + "\n"


def named(number):
    return f"{number:g}".lstrip("0")


def table(result):
    """A line for each engine and build, and one for the best of an engine's builds at each recall."""
    rows = [["engine", "build", *(f"QPS at {named(r)}" for r in RECALLS), "highest recall", "build CPU s", "bytes/vector in memory", "on disk"]]
    n = result["set"]["n"]
    for engine in result["engines"]:
        points = engine["points"]
        for build in engine["builds"]:
            own = [p for p in points if p["build"] == build["params"]]
            if own:
                memory = build["memory_bytes"] - build["may_stay_on_disk_bytes"]
                rows.append([engine["name"], build["params"], *(cell(qps_at(own, r)) for r in RECALLS), f"{max(p['recall'] for p in own):.4f}",
                             f"{build['build_cpu_s']:.1f}", rounded(memory / n), rounded(build["disk_bytes"] / n)])
        if len(engine["builds"]) > 1 and points:
            rows.append([f"**{engine['name']}**", "best of the grid", *(cell(best_at(points, r)) for r in RECALLS),
                         f"{max(p['recall'] for p in points):.4f}", "", "", ""])
    return markdown(rows)


def ratio(ours, theirs):
    """How many times faster; a bound where one of the two is only bounded."""
    if ours is None or theirs is None:
        return "-"
    sign = {(True, True): "", (False, True): "> ", (True, False): "< ", (False, False): "~ "}[ours[1], theirs[1]]
    return f"{sign}{ours[0] / theirs[0]:.2f}x"


def ratios(result):
    """Grove's modes against each peer at its best; the first build of ours by each of theirs."""
    engines = [e for e in result["engines"] if e["points"]]
    rows = [["", "against", *(f"QPS at {named(r)}" for r in RECALLS), "build CPU, ours by theirs"]]
    for ours in engines:
        if not ours["name"].startswith("grove") or ours["name"] == "grove-exact":
            continue
        for theirs in engines:
            if theirs is ours:
                continue
            seconds = ours["builds"][0]["build_cpu_s"]
            builds = [f"{seconds / b['build_cpu_s']:.2f} ({b['params']})" for b in theirs["builds"] if b["build_cpu_s"] > 0.05]
            rows.append([ours["name"], theirs["name"], *(ratio(best_at(ours["points"], r), best_at(theirs["points"], r)) for r in RECALLS),
                         ", ".join(builds) or "-"])
    return markdown(rows) if len(rows) > 1 else ""


def text(result):
    of = result["set"]
    parts = [f"### {of['name']}: {of['n']:,} x {of['dim']}, {of['metric']}\n",
             f"{of['origin']}. recall@{result['k']}, {result['queries']} queries held out, one thread, median of {result['rounds']} rounds. "
             f"{result['date']}, {result['processor']}.\n", table(result)]
    if ratios(result):
        parts.append(ratios(result))
    parts.append("\n".join(f"- {e['name']}: {e['version']}; {compiler(e)} {e['flags']}; grid {'; '.join(grid(b) for b in e['builds'])}"
                           for e in result["engines"]) + "\n")
    return "\n".join(parts)


def compiler(engine):
    return ("gcc " if engine["compiler"][0].isdigit() else "") + engine["compiler"]


def grid(build):
    searches = build["searches"]
    return f"{build['params']} x {searches[0]}" + (f" to {searches[-1]} ({len(searches)})" if len(searches) > 1 else "")


def plot(result, path):
    """Recall against QPS, the fronts as lines; recall by the logarithm of what is missed. False: there is nothing to draw with."""
    try:
        import matplotlib
    except ImportError:
        return False
    matplotlib.use("Agg")
    matplotlib.rcParams["svg.hashsalt"] = "grove"
    from matplotlib import pyplot
    figure, axes = pyplot.subplots(figsize=(9, 6))
    position = lambda recall: -math.log10(max(1 - recall, 1e-4))
    for engine in result["engines"]:
        points = [p for p in front(engine["points"]) if p["recall"] >= 0.5]
        if len(engine["points"]) == 1 and points:  # exact search: a level to be above
            axes.axhline(points[0]["qps"], linestyle="--", color="gray", linewidth=1, label=engine["name"])
        elif points:
            axes.plot([position(p["recall"]) for p in points], [p["qps"] for p in points], marker="o", markersize=3.5,
                      linewidth=2.2 if engine["name"].startswith("grove") else 1.2, label=engine["name"])
    ticks = [0.5, 0.8, 0.9, 0.95, 0.99, 0.999, 0.9999]
    axes.set_xticks([position(t) for t in ticks], [named(t) for t in ticks])
    axes.set_yscale("log")
    axes.set_xlabel(f"recall@{result['k']}")
    axes.set_ylabel("queries a second, one thread")
    of = result["set"]
    axes.set_title(f"{of['name']}: {of['n']:,} x {of['dim']}, {of['metric']}")
    axes.grid(True, which="both", alpha=0.25)
    axes.legend()
    figure.tight_layout()
    figure.savefig(path, metadata={"Date": None})
    pyplot.close(figure)
    return True

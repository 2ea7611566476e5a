"""Candidates."""
from __future__ import annotations
import sys, statistics, itertools
from benchmarks.simulation import *
from benchmarks.simulation import share_done

def started(now, waiting, starts):
    return waiting

def heap(first, step):
    """Earliest due first."""
    def pick(now, waiting, starts, asked):
        best, at = None, now
        for n in waiting:
            a = asked[n]
            due = starts[n] + (first if a is None else a + step(a))
            if due <= at:
                best, at = n, due
        return best
    return pick

def greedy(floor):
    def pick(now, waiting, starts, asked):
        best, most = None, 0.0
        for n in waiting:
            age = now - starts[n]
            a = asked[n]
            if a is None:
                p = share_done(age)
            elif age - a < floor: continue
            else:
                f = share_done(a)
                p = (share_done(age) - f) / (1 - f + 1e-12)
            if p > most:
                best, most = n, p
        return best
    return pick

def candidates(floor):
    c = {f"fixed {s}": heap(s, lambda a, s=s: s) for s in (2, 3.5, 5, 7, 10)}
    c["round robin"] = heap(floor, lambda a: floor)
    c["greedy"] = greedy(floor)
    for f, k, t in itertools.product((8.75, 17.5, 25), (2, 3.5, 5, 8), (0.0, 0.08)):
        c[f"P {f} {k} {t}"] = heap(f, lambda a, k=k, t=t: max(k, t * a))
    return c

if __name__ == "__main__":
    floor = float(sys.argv[1])
    for within in (0.0, 60.0):
        for limit in (60, 120, 1000):
            for jobs in (7, 100, 1000):
                seeds = range(1, {7: 40, 100: 4, 1000: 1}[jobs] + 1)
                case = Case(limit, jobs, within)
                ours = [through_schedule(case, s) for s in seeds]
                om = statistics.fmean(o.mean for o in ours)
                res = []
                for name, pick in candidates(floor).items():
                    if jobs == 1000 and name.startswith("P") and name not in ("P 17.5 5 0.08","P 8.75 2 0.0"): continue
                    r = [through_slots(case, s, pick) for s in seeds]
                    res.append((statistics.fmean(o.mean for o in r), statistics.fmean(o.per_job for o in r), name))
                res.sort()
                print(within, limit, jobs, "ours %.2f (%.1f polls, refused %d, max %.0f)" % (om, statistics.fmean(o.per_job for o in ours), sum(o.refused for o in ours), max(max(o.late) for o in ours)), "ratio %.3f" % (om / res[0][0]), [(round(a,2), round(b,1), n) for a,b,n in res[:3]], flush=True)

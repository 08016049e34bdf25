# SPDX-License-Identifier: Apache-2.0
"""Phases whose shares of the CPU time are known: Go versions x ways of linking."""

import pprof
from harness import Target, VERSIONS, build, check, names, note, profile, test, weigh, within

LEAVES = [('main.leafSpin', 'main.callerA1', 'main.phaseLeafA1'), ('main.leafSpin', 'main.callerA2', 'main.phaseLeafA2')]


def shares(version, variant):
    with Target(build(version, 'known_shares', variant)) as t:
        before = t.truth()
        prof = profile(t.pid, 5, rate=997, least=300)
        after = t.truth()
    truth = {k: after['phases'][k] - before['phases'][k] for k in after['phases']}
    total = sum(truth.values())
    # what is not in a phase (the runtime's own threads) has no truth
    in_phases, count = weigh(prof, lambda frames, _: any(f.name in truth for f in frames))
    everything, _ = weigh(prof, lambda *_: True)
    note('%d samples, %.2f %% in phases', count, 100 * in_phases / everything)
    check(count > 200, 'only %d samples in phases; stacks end too early?\n%s', count, prof.said)
    bad = [phase for phase in truth
           if not within(weigh(prof, lambda frames, _: any(f.name == phase for f in frames))[0] / in_phases,
                         truth[phase] / total, count, phase)]
    check(not bad, 'outside of the sampling error: %s', ', '.join(bad))
    # time outside of the phases is the runtime's and this program's start: little
    # (its timers, too, of which there are as many where others have the CPU)
    check(everything - in_phases <= 0.03 * everything + 0.01 * prof.duration_nanos, '%.1f %% of the time is in no phase',
          100 - 100 * in_phases / everything)

    # the frameless leaf stands on its true caller
    spin, _ = weigh(prof, lambda frames, _: names(frames)[:1] == ['main.leafSpin'])
    right, _ = weigh(prof, lambda frames, _: any(tuple(names(frames)[:3]) == leaf for leaf in LEAVES))
    check(spin > 0, 'no sample in main.leafSpin')
    note('callers of the frameless leaf: %.2f %%', 100 * right / spin)
    check(right >= 0.99 * spin, 'the caller of main.leafSpin is there in only %.2f %%', 100 * right / spin)

    # inlined functions are frames, and say so
    inlined, _ = weigh(prof, lambda frames, _: any(
        f.name == 'main.inlHelper' and f.inlined and g.name == 'main.midB' for f, g in zip(frames, frames[1:])))
    mid, _ = weigh(prof, lambda frames, _: 'main.midB' in names(frames))
    note('inlined helper: %.1f %% of its caller', 100 * inlined / max(mid, 1))
    check(inlined > 0.3 * mid, 'main.inlHelper is in only %.1f %% of main.midB', 100 * inlined / max(mid, 1))

    # 61 frames of the recursion, in every sample at its bottom
    bottom = [n.count('main.recurse') for n in (names(frames) for frames, _, _ in prof.stacks())
              if n[:1] == ['main.recurse'] and 'main.phaseDeep' in n]
    check(bottom and max(bottom) == 61, 'the deepest stack of main.recurse has %d frames, not 61', max(bottom, default=0))
    # assembly has its callers
    moved, _ = weigh(prof, lambda frames, _: names(frames)[:1] == ['runtime.memmove'])
    called, _ = weigh(prof, lambda frames, _: names(frames)[:2] == ['runtime.memmove', 'main.phaseMemmove'])
    check(moved > 0 and called >= 0.99 * moved, 'runtime.memmove was called by main.phaseMemmove in %d of %d ns',
          called, moved)
    # every Go frame has a file and a line
    for frames, _, _ in prof.stacks():
        for f in pprof.user(frames):
            if f.name.startswith('main.'):
                check(f.file.endswith('main.go') and f.line > 0, '%s has no line: %r', f.name, f)
                if version == '1.19' and f.inlined:  # its tables do not tell where an inlined function starts
                    continue
                check(0 < f.start_line <= f.line, '%s starts at line %d but is at %d', f.name, f.start_line, f.line)


for number, v in enumerate(VERSIONS):
    for kind in ('static', 'pie', 'stripped'):
        # by default the oldest and the newest; all of them together are the matrix
        test('e2e' if (v, kind) == ('1.19', 'stripped') else 'matrix', 'known shares, Go %s %s' % (v, kind), v, kind)(shares)
test('e2e', 'known shares, Go 1.27 piestripped', '1.27', 'piestripped')(shares)
test('matrix', 'known shares, Go 1.19 external', '1.19', 'external')(shares)
test('matrix', 'known shares, Go 1.27 external', '1.27', 'external')(shares)

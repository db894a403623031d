"""A user's own pieces that several test files share."""
import fastbias as fb


@fb.piece(fb.abi.DIRECTION)
def ascent(geometry, params, k, s, g, u, state, move):
    for i in range(g.size):
        move[i] = -g[i]
    return 0

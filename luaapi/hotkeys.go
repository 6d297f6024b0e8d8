// Rates of keys, in a fixed amount of memory.

package luaapi

import (
	"math"
	"sync/atomic"

	lua "github.com/yuin/gopher-lua"
)

// hotkeys is a count-min sketch whose cells decay. All methods may be called concurrently; two that count the same key at the same moment may lose
// one of the counts.
type hotkeys struct {
	window float64 // seconds: what a count decays to a third in
	mask   uint64
	now    func() int64  // monotonic nanoseconds
	rows   [4][]cellBits // of mask + 1 cells
}

// cellBits is a cell: above a float32, the decayed count, below when that was, in ticks.
type cellBits struct{ atomic.Uint64 }

// tick is the unit of a cell's time, in nanoseconds. 32 bits of it are two years, after which a cell that has not been touched looks young.
const tick = 1e9 / 64

func (c *cellBits) at(now uint32, window float64) float64 {
	v := c.Load()
	since := float64(now-uint32(v)) * (tick / 1e9)
	n := float64(math.Float32frombits(uint32(v >> 32)))
	if n == 0 {
		return 0
	}
	return n * math.Exp(-since/window)
}

// count adds n for a key and gives its rate a second. Only the cells that are not raised by other keys are raised (conservative update).
func (h *hotkeys) count(key []byte, n float64) float64 {
	now := uint32(h.now() / tick)
	h1, h2 := hashKey(key)
	var cells [len(h.rows)]*cellBits
	var have [len(h.rows)]float64
	least := math.MaxFloat64
	for i := range h.rows {
		cells[i] = &h.rows[i][(h1+uint64(i)*h2)&h.mask]
		have[i] = cells[i].at(now, h.window)
		least = min(least, have[i])
	}
	if least += n; n != 0 {
		for i, c := range cells {
			c.Store(uint64(math.Float32bits(float32(max(have[i], least))))<<32 | uint64(now))
		}
	}
	return least / h.window
}

// hashKey is FNV-1a with its halves mixed: two numbers, the second odd.
func hashKey(key []byte) (uint64, uint64) {
	h := uint64(14695981039346656037)
	for _, c := range key {
		h = (h ^ uint64(c)) * 1099511628211
	}
	h ^= h >> 32
	h *= 0x9e3779b97f4a7c15
	return h >> 20, h>>7 | 1
}

const maxHotkeys = 1 << 22

func newHotkeys(a *API, L *lua.LState) int {
	t := given(L, "hotkeys", "name", "window", "size")
	window := numberField(L, "hotkeys", t, "window", 0.1, 5)
	size := int(min(numberField(L, "hotkeys", t, "size", 64, 16384), maxHotkeys))
	cells := 64
	for cells < size {
		cells *= 2
	}
	ud := L.NewUserData()
	ud.Value = share[*hotkeys](a, L, "hotkeys", textField(L, "hotkeys", t, "name"), func() (any, error) {
		h := &hotkeys{window: window, mask: uint64(cells - 1), now: a.o.Now}
		for i := range h.rows {
			h.rows[i] = make([]cellBits, cells)
		}
		return h, nil
	})
	ud.Metatable = a.hotkeysMT
	L.Push(ud)
	return 1
}

// countKey is hot(key, n).
func countKey(a *API, L *lua.LState) int {
	ud, _ := L.Get(1).(*lua.LUserData)
	h, _ := ud.Value.(*hotkeys)
	key := a.keyArg(L, 2, "mcp.hotkeys")
	n := 1.0
	if v, ok := L.Get(3).(lua.LNumber); ok && v >= 0 {
		n = float64(v)
	}
	L.Push(lua.LNumber(h.count(key, n)))
	return 1
}

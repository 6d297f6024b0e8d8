// What the traces promise.

package traces

import "testing"

func TestTraces(t *testing.T) {
	const n, total = 1000, 20000
	for _, tr := range All {
		a, b := tr.Start(1, n, total), tr.Start(1, n, total)
		seen := map[uint64]int{}
		for range total {
			k := a()
			if k != b() {
				t.Fatalf("%s: the same seed gives another trace", tr.Name)
			}
			seen[k]++
		}
		switch most := seen[0]; tr.Name {
		case "uniform":
			if most > total/n*3 {
				t.Errorf("uniform: key 0 came %d times", most)
			}
		case "zipf1.1":
			if most < total/10 {
				t.Errorf("zipf1.1: key 0 came %d times", most)
			}
		case "scan":
			if got := len(seen); got < total*3/10-500 {
				t.Errorf("scan: %d different keys", got)
			}
		}
	}
}

func TestFind(t *testing.T) {
	if tr, err := Find("drift"); err != nil || tr.Name != "drift" {
		t.Error(tr, err)
	}
	if _, err := Find("nonsense"); err == nil {
		t.Error("nonsense is a trace")
	}
}

func TestKeysDiffer(t *testing.T) {
	seen := map[string]bool{}
	for i := range uint64(100000) {
		k := string(AppendKey(nil, i))
		if len(k) != KeySize || seen[k] {
			t.Fatalf("key %q of %d", k, i)
		}
		seen[k] = true
	}
}

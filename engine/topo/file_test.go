// The file: what it says, what is wrong with it, and what becomes of a change.

package topo

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestParseFile(t *testing.T) {
	pools, err := ParseFile([]byte(`{"pools": {
		"users": [
			{"name": "leaf-2", "addr": "nats://h:2/leaf-2", "zone": "b", "weight": 2},
			{"name": "leaf-1", "addr": "nats://h:1/leaf-1", "zone": "a"},
			{"name": "leaf-3", "addr": "nats://h:3/leaf-3", "state": "draining"}
		],
		"none": []
	}}`), "t.json")
	if err != nil {
		t.Fatal(err)
	}
	want := []Member{{Name: "leaf-1", Addr: "nats://h:1/leaf-1", Zone: "a"}, {Name: "leaf-2", Addr: "nats://h:2/leaf-2", Zone: "b", Weight: 2}}
	if !slices.Equal(pools["users"], want) {
		t.Errorf("%+v", pools["users"])
	}
	if ms, ok := pools["none"]; !ok || len(ms) != 0 {
		t.Errorf("a pool without members: %v %v", ms, ok)
	}
}

func TestParseFileSaysWhereTheMistakeIs(t *testing.T) {
	for text, want := range map[string]string{
		"":                              "t.json:1: EOF",
		"{\n}":                          `t.json:1: there is no "pools"`,
		"{\"pools\": {\n\"a\": [,]}}":   "t.json:2: invalid character ','",
		"{\"pools\": {\n\n\"a\": 7}}":   "t.json:3: json: cannot unmarshal number",
		"{\"pools\": {}, \"pool\": {}}": `unknown field "pool"`,
		"{\"pools\": {}} {":             "t.json:1: there is more behind the end",
		"{\"pools\": {\"a\": [\n{\"name\": \"l\", \"addr\": \"h:1\"},\n{\"name\": \"m\"}]}}":                    `t.json:3: pool "a": leaf "m" has no address`,
		"{\"pools\": {\"a\": [\n{\"name\": \"l\", \"addr\": \"h:1\"},\n{\"name\": \"l\", \"addr\": \"h:2\"}]}}": `t.json:3: pool "a": leaf "l" is there twice`,
		"{\"pools\": {\"a\": [\n{\"name\": \"l\", \"adr\": \"h:1\"}]}}":                                         `t.json:2: pool "a": json: unknown field "adr"`,
		"{\"pools\": {\"a\": [\n{\"name\": \"l\", \"addr\": \"h:1\", \"weight\": \"x\"}]}}":                     `t.json:2: pool "a": json: cannot unmarshal string`,
		"{\"pools\": {\"a/b\": []}}": `pool name "a/b"`,
	} {
		_, err := ParseFile([]byte(text), "t.json")
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s\n gives %v, want %s", text, err, want)
		}
	}
}

// put writes a topology whose pool users has the members of these names.
func put(t *testing.T, path, names string) {
	t.Helper()
	var ms []string
	for name := range strings.FieldsSeq(names) {
		ms = append(ms, `{"name": "`+name+`", "addr": "nats://h:1/`+name+`"}`)
	}
	putText(t, path, `{"pools": {"users": [`+strings.Join(ms, ",")+`]}}`)
}

// putText replaces a file whole, as editors and Kubernetes do.
func putText(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path+".new", []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		t.Fatal(err)
	}
}

func TestFileIsReadAgain(t *testing.T) {
	path := filepath.Join(t.TempDir(), "t.json")
	put(t, path, "b a")
	f := NewFile(path, FileOptions{Poll: time.Hour})
	defer f.Close()
	var told []string
	stop := f.Watch("users", func(s Snapshot) { told = append(told, names(s.Members)) })
	change := func(text, wantTold, wantError string) {
		t.Helper()
		n := len(told)
		putText(t, path, text)
		f.Reread()
		if got := strings.Join(told[n:], ", "); got != wantTold {
			t.Errorf("%s: told %q, want %q", text, got, wantTold)
		}
		if got := f.Status().LastError; wantError == "" && got != "" || !strings.Contains(got, wantError) {
			t.Errorf("%s: error %q, want %q", text, got, wantError)
		}
	}
	if !slices.Equal(told, []string{"a b"}) {
		t.Fatalf("told at the start: %q", told)
	}
	change(`{"pools": {"users": [{"name": "c", "addr": "h:1"}]}}`, "c", "")
	change(`{"pools": {"users": [{"name": "c", "addr": "h:1"}], "other": []}}`, "", "") // nothing new for this pool
	change(`{"pools": {"users": [{"name": "c"`, "", "t.json:1: unexpected EOF")
	change(`{"pools": {}}`, "", `pool "users" is gone`)
	change(`{"pools": {"users": []}}`, "", "") // as it is meant: told below
	if len(told) != 3 || told[2] != "" {
		t.Errorf("an empty pool is not told: %q", told)
	}
	change(`{"pools": {"users": [{"name": "d", "addr": "h:1"}]}}`, "d", "")
	if st := f.Status(); st.Changes != 4 || st.Refused != 2 || !st.Connected || st.LastNews.IsZero() {
		t.Errorf("status %+v", st)
	}
	if s, err := f.Refresh(t.Context(), "users"); err != nil || names(s.Members) != "d" {
		t.Errorf("refresh: %+v %v", s, err)
	}
	if _, err := f.Refresh(t.Context(), "nobody"); !errors.Is(err, ErrUnknownPool) {
		t.Errorf("refresh of a pool that is not there: %v", err)
	}
	stop()
	change(`{"pools": {"users": [{"name": "e", "addr": "h:1"}]}}`, "", "")
}

func TestFileThatIsNotThereYet(t *testing.T) {
	path := filepath.Join(t.TempDir(), "t.json")
	f := NewFile(path, FileOptions{Poll: time.Hour})
	defer f.Close()
	var told []string
	defer f.Watch("users", func(s Snapshot) { told = append(told, names(s.Members)) })()
	if st := f.Status(); len(told) > 0 || st.Connected || !strings.Contains(st.LastError, path) {
		t.Errorf("told %q, status %+v", told, st)
	}
	if _, err := f.Refresh(t.Context(), "users"); err == nil || !strings.Contains(err.Error(), path) {
		t.Errorf("refresh: %v", err)
	}
	put(t, path, "a")
	f.Reread()
	if !slices.Equal(told, []string{"a"}) {
		t.Errorf("told %q", told)
	}
}

// TestFileThatIsAwayForAMoment: it comes back as it was, and is well.
func TestFileThatIsAwayForAMoment(t *testing.T) {
	path := filepath.Join(t.TempDir(), "t.json")
	put(t, path, "a")
	f := NewFile(path, FileOptions{Poll: time.Hour})
	defer f.Close()
	defer f.Watch("users", func(Snapshot) {})()
	move := func(from, to string, well bool) {
		t.Helper()
		if err := os.Rename(from, to); err != nil {
			t.Fatal(err)
		}
		f.Reread()
		if st := f.Status(); st.Connected != well || (st.LastError == "") != well {
			t.Errorf("%+v", st)
		}
	}
	move(path, path+".away", false)
	move(path+".away", path, true)
}

// TestFileIsPolled: nobody says that it has changed.
func TestFileIsPolled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "t.json")
		put(t, path, "a")
		f := NewFile(path, FileOptions{})
		defer f.Close()
		told := make(chan string, 10)
		defer f.Watch("users", func(s Snapshot) { told <- names(s.Members) })()
		begin := time.Now()
		if got := <-told; got != "a" {
			t.Fatal(got)
		}
		put(t, path, "a b")
		if got := <-told; got != "a b" {
			t.Fatal(got)
		}
		if took := time.Since(begin); took > time.Second {
			t.Errorf("noticed after %v", took)
		}
	})
}

// TestFileIsReadForWhoComes: what is found when somebody begins to watch is news to the others, too.
func TestFileIsReadForWhoComes(t *testing.T) {
	path := filepath.Join(t.TempDir(), "t.json")
	put(t, path, "a")
	f := NewFile(path, FileOptions{Poll: time.Hour})
	defer f.Close()
	var told []string
	defer f.Watch("users", func(s Snapshot) { told = append(told, names(s.Members)) })()
	putText(t, path, `{"pools": {"users": [{"name": "b", "addr": "h:1"}], "other": []}}`)
	defer f.Watch("other", func(Snapshot) {})()
	f.Reread()
	if !slices.Equal(told, []string{"a", "b"}) {
		t.Errorf("told %q", told)
	}
}

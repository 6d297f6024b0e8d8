package quick

import (
	"testing"

	lua "github.com/yuin/gopher-lua"
)

// A set does not keep every prototype that a script has ever made.
func TestProgramsAreForgotten(t *testing.T) {
	var s Set
	kept := &lua.FunctionProto{Code: []uint32{0}}
	p := s.of(kept)
	for range 3 * mostPrograms {
		s.of(&lua.FunctionProto{Code: []uint32{0}})
	}
	if len(s.programs) > mostPrograms {
		t.Errorf("%d programs are kept", len(s.programs))
	}
	if q := s.of(kept); p == nil || q == nil {
		t.Error("one that is forgotten is not made again")
	}
}

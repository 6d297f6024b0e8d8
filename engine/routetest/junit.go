// Results as JUnit's XML, which CI systems read.

package routetest

import (
	"encoding/xml"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"time"
)

type junitSuites struct {
	XMLName xml.Name     `xml:"testsuites"`
	Suites  []junitSuite `xml:"testsuite"`
}

type junitSuite struct {
	Name     string      `xml:"name,attr"`
	Tests    int         `xml:"tests,attr"`
	Failures int         `xml:"failures,attr"`
	Time     string      `xml:"time,attr"`
	Cases    []junitCase `xml:"testcase"`
	took     time.Duration
}

type junitCase struct {
	Class   string        `xml:"classname,attr"`
	Name    string        `xml:"name,attr"`
	File    string        `xml:"file,attr"`
	Line    int           `xml:"line,attr,omitempty"`
	Time    string        `xml:"time,attr"`
	Failure *junitFailure `xml:"failure"`
}

type junitFailure struct {
	Message string `xml:"message,attr"`
	Text    string `xml:",chardata"`
}

// WriteJUnit writes results as JUnit's XML: a suite for each file.
func WriteJUnit(w io.Writer, all []Result) error {
	var doc junitSuites
	for _, res := range all {
		n := len(doc.Suites)
		if n == 0 || doc.Suites[n-1].Name != res.File {
			doc.Suites = append(doc.Suites, junitSuite{Name: res.File})
			n++
		}
		s := &doc.Suites[n-1]
		c := junitCase{
			Class: strings.TrimSuffix(filepath.Base(res.File), ".lua"), Name: res.Name, File: res.File, Line: res.Line, Time: inXML(res.Took),
		}
		if c.Name == "" {
			c.Name = "the file"
		}
		if res.Failure != nil {
			s.Failures++
			message, _, _ := strings.Cut(res.Failure.Text, "\n")
			c.Failure = &junitFailure{message, res.Failure.Error()}
		}
		s.Tests++
		s.took += res.Took
		s.Time = inXML(s.took)
		s.Cases = append(s.Cases, c)
	}
	if _, err := io.WriteString(w, xml.Header); err != nil {
		return fmt.Errorf("cannot write JUnit results: %w", err)
	}
	e := xml.NewEncoder(w)
	e.Indent("", "  ")
	if err := e.Encode(doc); err != nil {
		return fmt.Errorf("cannot write JUnit results: %w", err)
	}
	_, err := io.WriteString(w, "\n")
	return err
}

func inXML(d time.Duration) string { return fmt.Sprintf("%.6f", d.Seconds()) }

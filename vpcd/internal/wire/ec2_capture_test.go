package wire

import (
	"context"
	"encoding/json"
	"encoding/xml"
	"errors"
	"flag"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/vpcfabric/vpc/vpcd/api"
	"github.com/vpcfabric/vpc/vpcd/internal/service"
)

var update = flag.Bool("update", false, "write the golden files")

// What testdata/record.py signs with.
var (
	recordedKey  = service.AccessKey{ID: "AKIAIOSFODNN7EXAMPLE", Secret: "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", Account: "000000000007", Name: "ci & cd"}
	othersKey    = service.AccessKey{ID: "AKIAI44QH8DHBEXAMPLE", Secret: "je7MtGbClwBF/2Zp9Utk/h3yCo8nvbEXAMPLEKEY", Account: "000000000008"}
	recordedTime = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
)

const recordedHost = "127.0.0.1:8773"

// keyRing is the keys of a test.
type keyRing []service.AccessKey

func (k keyRing) AccessKey(_ context.Context, id string) (service.AccessKey, error) {
	for _, key := range k {
		if key.ID == id {
			return key, nil
		}
	}
	return service.AccessKey{}, api.Errorf("AuthFailure", "", "no key %s", id)
}

// testEC2 is a server for recorded requests.
func testEC2(handlers map[string]service.Handler, log io.Writer) *EC2 {
	s := NewEC2(handlers, keyRing{recordedKey}, slog.New(slog.NewTextHandler(log, nil)))
	s.now = func() time.Time { return recordedTime }
	s.host = func(h string) bool { return h == recordedHost }
	return s
}

// exchange has s answer r.
func exchange(s *EC2, r *http.Request) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	s.serveEC2(w, r.WithContext(withConn(r.Context(), &conn{})))
	return w
}

// capture is one recorded request.
type capture struct{ title, text string }

func captures(t *testing.T, action string) []capture {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", "ec2", action+".http"))
	if err != nil {
		t.Fatalf("no request of a real client is recorded: add one to testdata/record.py and run it (%v)", err)
	}
	var out []capture
	for section := range strings.SplitSeq("\n"+string(b), "\n=== ") {
		if title, text, ok := strings.Cut(section, "\n"); ok && title != "" {
			out = append(out, capture{title, text})
		}
	}
	return out
}

// request undoes what the recorder does for readers.
func (c capture) request(t *testing.T) *http.Request {
	t.Helper()
	head, body, _ := strings.Cut(c.text, "\n\n")
	lines := strings.Split(head, "\n")
	body = strings.ReplaceAll(strings.TrimSpace(body), "\n", "")
	method, rest, _ := strings.Cut(lines[0], " ")
	target, _, _ := strings.Cut(rest, " ")
	r := httptest.NewRequest(method, target, strings.NewReader(body))
	for _, line := range lines[1:] {
		name, value, _ := strings.Cut(line, ": ")
		if name == "Host" {
			r.Host = value
			continue
		}
		r.Header.Add(name, value)
	}
	return r
}

// TestCaptures: what the real clients send for each action is understood as it
// was meant, and answered in the form that they read. record.py --check has the
// clients' own reader look at the answers.
func TestCaptures(t *testing.T) {
	names := []string{"GetCallerIdentity"}
	for name, a := range api.Actions {
		if !a.Own {
			names = append(names, name)
		}
	}
	for _, name := range names {
		t.Run(name, func(t *testing.T) {
			var have strings.Builder
			var answer []byte
			for _, c := range captures(t, name) {
				var request any
				s := testEC2(map[string]service.Handler{name: recordRequest(name, &request)}, io.Discard)
				w := exchange(s, c.request(t))
				if w.Code != http.StatusOK {
					t.Fatalf("%s: %d %s", c.title, w.Code, w.Body)
				}
				have.WriteString("=== " + c.title + "\n" + pretty(t, request) + "\n")
				answer = w.Body.Bytes()
			}
			have.WriteString("=== answer\n" + indentXML(t, answer))
			golden(t, filepath.Join("testdata", "ec2", name+".golden"), have.String())
		})
	}
}

// recordRequest is a handler that keeps what it was asked, and answers with
// every member there is.
func recordRequest(name string, got *any) service.Handler {
	return func(_ context.Context, c service.Caller, request any) (any, int64, error) {
		*got = request
		if c.Account != recordedKey.Account {
			return nil, 0, errors.New("called for the account " + c.Account)
		}
		result := api.Actions[name].NewResult()
		nameMembers(reflect.ValueOf(result).Elem(), "")
		return result, 1, nil
	}
}

// nameMembers gives every member a value; a text is the member's name.
func nameMembers(v reflect.Value, name string) {
	switch v.Kind() {
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		nameMembers(v.Elem(), name)
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		nameMembers(v.Index(0), name)
	case reflect.Struct:
		if v.Type() == reflect.TypeFor[time.Time]() {
			v.Set(reflect.ValueOf(recordedTime.Add(1500 * time.Microsecond)))
			return
		}
		for i := range v.NumField() {
			nameMembers(v.Field(i), v.Type().Field(i).Name)
		}
	case reflect.String:
		v.SetString(name)
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Int32, reflect.Int64:
		v.SetInt(7)
	default:
		panic("no value for a " + v.Type().String())
	}
}

func pretty(t *testing.T, request any) string {
	t.Helper()
	if request == nil {
		return ""
	}
	b, err := json.MarshalIndent(request, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	return string(b) + "\n"
}

// indentXML breaks an answer into lines, and fails when it is not well-formed.
func indentXML(t *testing.T, answer []byte) string {
	t.Helper()
	var b strings.Builder
	depth, open := 0, false
	for d := xml.NewDecoder(strings.NewReader(string(answer))); ; {
		token, err := d.RawToken()
		if errors.Is(err, io.EOF) {
			return strings.TrimPrefix(b.String(), "\n") + "\n"
		}
		if err != nil {
			t.Fatalf("%v in %s", err, answer)
		}
		switch token := token.(type) {
		case xml.StartElement:
			b.WriteString("\n" + strings.Repeat("  ", depth) + "<" + token.Name.Local)
			for _, a := range token.Attr {
				b.WriteString(" " + a.Name.Local + `="` + a.Value + `"`)
			}
			b.WriteString(">")
			depth, open = depth+1, true
		case xml.EndElement:
			if depth--; !open {
				b.WriteString("\n" + strings.Repeat("  ", depth))
			}
			b.WriteString("</" + token.Name.Local + ">")
			open = false
		case xml.CharData:
			text := string(token)
			if len(text) == 26 && !strings.ContainsFunc(text, func(r rune) bool { return r < '2' || r > 'Z' }) {
				text = "REQUEST"
			}
			if strings.TrimSpace(text) != "" {
				_ = xml.EscapeText(&b, []byte(text))
			}
		}
	}
}

func golden(t *testing.T, path, have string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(path, []byte(have), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil || string(want) != have {
		t.Errorf("%s differs (%v); run the test with -update and look at the difference. Have:\n%s", path, err, have)
	}
}

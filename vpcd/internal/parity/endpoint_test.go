package parity

import (
	"encoding/xml"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/vpcfabric/vpc/vpcd/internal/wire/ec2query"
	"github.com/vpcfabric/vpc/vpcd/internal/wire/sigv4/sigv4test"
)

// endpoint is a server that speaks EC2, and who speaks to it.
type endpoint struct {
	url, key, secret string
	// region is for servers that read it from the signature.
	region string
}

// answer is what came back: the tree of an answer or of an error.
type answer struct {
	status int
	body   string
	root   *element
}

// element is one element of an answer; text is empty where it has children.
type element struct {
	name, text string
	children   []*element
}

// call sends one action, signed as every client signs.
func (e endpoint) call(t testing.TB, action string, form url.Values) answer {
	t.Helper()
	all := url.Values{"Action": {action}, "Version": {ec2query.Version}}
	for name, values := range form {
		all[name] = values
	}
	body := all.Encode()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, e.url+"/", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Host = r.URL.Host
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded; charset=utf-8")
	sigv4test.Sign(r, body, e.key, e.secret, "ec2", time.Now())
	if e.region != "" {
		// What does not check signatures still takes its region from there.
		r.Header.Set("Authorization", strings.Replace(r.Header.Get("Authorization"), "/local-1/", "/"+e.region+"/", 1))
	}
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatalf("%s: %v", action, err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatalf("%s: %v", action, err)
	}
	root, err := parse(string(text))
	if err != nil && e.region != "" {
		// A server of others may fail in a form of its own.
		root, err = parse("<Response><Errors><Error><Code>fault</Code></Error></Errors></Response>")
	}
	if err != nil {
		t.Fatalf("%s: %v in %.500s", action, err, text)
	}
	return answer{res.StatusCode, string(text), root}
}

// code is that of an error, "" without one.
func (a answer) code() string { return a.root.text1("Errors/Error/Code") }

func (a answer) message() string { return a.root.text1("Errors/Error/Message") }

// parse reads the first element of a document with all below it.
func parse(text string) (*element, error) {
	stack := []*element{{}}
	d := xml.NewDecoder(strings.NewReader(text))
	for {
		token, err := d.Token()
		if err == io.EOF && len(stack[0].children) == 1 {
			return stack[0].children[0], nil
		}
		if err != nil {
			return nil, err
		}
		top := stack[len(stack)-1]
		switch token := token.(type) {
		case xml.StartElement:
			e := &element{name: token.Name.Local}
			top.children = append(top.children, e)
			stack = append(stack, e)
		case xml.EndElement:
			stack = stack[:len(stack)-1]
		case xml.CharData:
			top.text = strings.TrimSpace(top.text + string(token))
		}
	}
}

// text1 is the text of the first element at a path of names, "" without one.
func (e *element) text1(path string) string {
	name, rest, more := strings.Cut(path, "/")
	for _, c := range e.children {
		if c.name != name {
			continue
		}
		if !more {
			return c.text
		}
		if s := c.text1(rest); s != "" {
			return s
		}
	}
	return ""
}

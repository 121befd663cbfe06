// Package query is a small client of EC2's Query protocol, for tests and
// benchmarks that need many calls, or calls that no honest client makes. It
// signs by itself and shares no code with what checks the signatures.
package query

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/xml"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// Versions of the two interfaces.
const (
	Version    = "2016-11-15"
	STSVersion = "2011-06-15"
)

// Client signs with one key. It is safe for concurrent use.
type Client struct {
	URL        string // http://127.0.0.1:8773
	Region     string
	ID, Secret string
	HTTP       *http.Client // nil is http.DefaultClient
}

// Params are the parameters of an action as they stand in the body.
type Params map[string]string

// Fault is an answer that is not a success.
type Fault struct {
	Status        int // HTTP
	Code, Message string
}

func (f *Fault) Error() string {
	return fmt.Sprintf("%d %s: %s", f.Status, f.Code, f.Message)
}

// Call does one action of EC2. into is a struct with XML tags for the answer,
// or nil. An error is a *Fault, or the transport's.
func (c *Client) Call(ctx context.Context, action string, params Params, into any) error {
	r, err := c.Request(ctx, action, params, time.Now())
	if err != nil {
		return err
	}
	return c.Send(r, into)
}

// Request is a signed request of EC2, which a test may spoil before it sends it.
func (c *Client) Request(ctx context.Context, action string, params Params, at time.Time) (*http.Request, error) {
	form := url.Values{"Action": {action}, "Version": {Version}}
	for name, value := range params {
		form.Set(name, value)
	}
	body := form.Encode()
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, c.URL+"/", strings.NewReader(body))
	if err != nil {
		return nil, err
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded; charset=utf-8")
	c.Sign(r, []byte(body), "ec2", at)
	return r, nil
}

// Sign gives r the headers X-Amz-Date and Authorization for this body. Signed
// are the host and all headers that r has.
func (c *Client) Sign(r *http.Request, body []byte, service string, at time.Time) {
	stamp := at.UTC().Format("20060102T150405Z")
	r.Header.Set("X-Amz-Date", stamp)
	lines := []string{"host:" + r.Host + "\n"}
	for name, values := range r.Header {
		lines = append(lines, strings.ToLower(name)+":"+strings.Join(values, ",")+"\n")
	}
	slices.Sort(lines)
	var names []string
	for _, l := range lines {
		name, _, _ := strings.Cut(l, ":")
		names = append(names, name)
	}
	signed := strings.Join(names, ";")
	canonical := strings.Join([]string{r.Method, "/", r.URL.RawQuery, strings.Join(lines, ""), signed, digest(body)}, "\n")
	scope := strings.Join([]string{stamp[:8], c.Region, service, "aws4_request"}, "/")
	text := strings.Join([]string{"AWS4-HMAC-SHA256", stamp, scope, digest([]byte(canonical))}, "\n")
	key := []byte("AWS4" + c.Secret)
	for part := range strings.SplitSeq(scope, "/") {
		key = mac(key, part)
	}
	r.Header.Set("Authorization", fmt.Sprintf("AWS4-HMAC-SHA256 Credential=%s/%s, SignedHeaders=%s, Signature=%x", c.ID, scope, signed, mac(key, text)))
}

func digest(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

func mac(key []byte, text string) []byte {
	h := hmac.New(sha256.New, key)
	h.Write([]byte(text))
	return h.Sum(nil)
}

// faultXML is an error of EC2 or of STS.
type faultXML struct {
	EC2 []struct{ Code, Message string } `xml:"Errors>Error"`
	STS *struct{ Code, Message string }  `xml:"Error"`
}

// Send sends a request as it is and reads the answer as Call does.
func (c *Client) Send(r *http.Request, into any) error {
	text, err := c.Fetch(r)
	if err != nil || into == nil {
		return err
	}
	return xml.Unmarshal(text, into)
}

// Fetch is Send for callers who want the document as it came.
func (c *Client) Fetch(r *http.Request) ([]byte, error) {
	client := c.HTTP
	if client == nil {
		client = http.DefaultClient
	}
	answer, err := client.Do(r)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		return nil, err
	}
	if answer.StatusCode != http.StatusOK {
		return nil, fault(answer.StatusCode, text)
	}
	return text, nil
}

// fault reads an error document; what is none keeps its text as the message.
func fault(status int, text []byte) error {
	var f faultXML
	switch err := xml.Unmarshal(text, &f); {
	case err == nil && len(f.EC2) == 1:
		return &Fault{status, f.EC2[0].Code, f.EC2[0].Message}
	case err == nil && f.STS != nil:
		return &Fault{status, f.STS.Code, f.STS.Message}
	}
	return &Fault{Status: status, Message: string(text)}
}

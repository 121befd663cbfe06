// Package sigv4 checks the signatures of AWS's Signature Version 4 in the header
// Authorization: that a request was made by somebody who knows a key's secret,
// not long ago, and has arrived as it was sent.
//
// Read takes a claim out of a request's header before the body is read, and
// Claim.Verify holds body and secret against it. Which secret belongs to a key
// is not known here.
//
// # Promises
//
//   - What is signed is what arrived: the canonical request is built from the
//     headers that the signature names and from the whole body.
//   - The host, the time and the content type are always signed, so a signature
//     is good for one server, for half an hour at most, and for one reading.
//   - Signatures are compared in constant time.
//   - Temporary credentials do not exist here and are refused by name.
//
// # What a reviewer should check
//
//   - Nothing of a request that decides what is done escapes the signature.
//   - No error tells a secret, or a signature that would have been right.
package sigv4

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/vpcfabric/vpc/vpcd/api"
)

const (
	algorithm  = "AWS4-HMAC-SHA256"
	terminator = "aws4_request"
	timeFormat = "20060102T150405Z"
)

// Skew is how far a request's time may be from ours, in either direction.
const Skew = 15 * time.Minute

// Claim is what a request says of its signature; none of it is proven before Verify.
type Claim struct {
	AccessKey string
	// Service is one of those that Read was called with.
	Service string

	scope     string // date/region/service/aws4_request
	date      string // of the scope
	region    string
	time      string // as it was signed
	signature []byte
	// request is the canonical request without its last line, the body's hash.
	request string
}

// Read takes the claim out of a request's header, and refuses one that no
// secret could make good at the time now for one of the services. Errors are
// *api.Error: MissingAuthenticationToken, IncompleteSignature, RequestExpired,
// AuthFailure (another service, temporary credentials). Beside an error, Service
// is set where it was legible, for the form of the answer.
func Read(r *http.Request, now time.Time, services ...string) (Claim, error) {
	if _, ok := r.Header["X-Amz-Security-Token"]; ok {
		return Claim{}, api.Errorf("AuthFailure", "", "temporary credentials, with the header X-Amz-Security-Token, are not known here: use an access key without a session token")
	}
	a, err := authorization(r.Header)
	if err != nil {
		return Claim{}, err
	}
	c := Claim{signature: a.signature}
	if err := c.credential(a.credential, services); err != nil {
		return Claim{}, err
	}
	if err := covered(r.Header, a.signed); err != nil {
		return Claim{Service: c.Service}, err
	}
	if err := c.moment(r.Header, now); err != nil {
		return Claim{Service: c.Service}, err
	}
	if c.request, err = canonical(r, a.signed); err != nil {
		return Claim{Service: c.Service}, err
	}
	return c, nil
}

// Verify tells whether the claim was signed with secret over body.
func (c Claim) Verify(secret string, body []byte) bool {
	hash := sha256.Sum256(body)
	request := sha256.Sum256([]byte(c.request + hex.EncodeToString(hash[:])))
	text := algorithm + "\n" + c.time + "\n" + c.scope + "\n" + hex.EncodeToString(request[:])
	key := []byte("AWS4" + secret)
	for _, part := range []string{c.date, c.region, c.Service, terminator, text} {
		key = sum(key, part)
	}
	return hmac.Equal(key, c.signature)
}

func sum(key []byte, text string) []byte {
	h := hmac.New(sha256.New, key)
	h.Write([]byte(text))
	return h.Sum(nil)
}

func incomplete(format string, args ...any) error {
	return api.Errorf("IncompleteSignature", "", "the header Authorization "+format, args...)
}

// fields are the parts of the header Authorization.
type fields struct {
	credential string
	signed     []string
	signature  []byte
}

// authorization reads the one header of the form
// AWS4-HMAC-SHA256 Credential=…, SignedHeaders=…, Signature=….
func authorization(h http.Header) (fields, error) {
	values := h.Values("Authorization")
	if len(values) == 0 {
		return fields{}, api.Errorf("MissingAuthenticationToken", "", "the request is not signed in the header Authorization")
	}
	scheme, rest, _ := strings.Cut(values[0], " ")
	if len(values) > 1 || scheme != algorithm {
		return fields{}, incomplete("is not one of the algorithm %s", algorithm)
	}
	parts := map[string]string{}
	for part := range strings.SplitSeq(rest, ",") {
		name, value, ok := strings.Cut(strings.Trim(part, " \t"), "=")
		if _, twice := parts[name]; !ok || twice || value == "" || !slices.Contains([]string{"Credential", "SignedHeaders", "Signature"}, name) {
			return fields{}, incomplete("has a part that does not belong there: %s", api.Printable(part))
		}
		parts[name] = value
	}
	if len(parts) != 3 {
		return fields{}, incomplete("lacks Credential, SignedHeaders or Signature")
	}
	f := fields{credential: parts["Credential"], signed: strings.Split(parts["SignedHeaders"], ";")}
	var err error
	if f.signature, err = hex.DecodeString(parts["Signature"]); err != nil || len(f.signature) != sha256.Size {
		return fields{}, incomplete("has a Signature that is not %d hex digits", 2*sha256.Size)
	}
	return f, nil
}

// credential reads KEY/DATE/REGION/SERVICE/aws4_request.
func (c *Claim) credential(text string, services []string) error {
	parts := strings.Split(text, "/")
	if len(parts) != 5 || parts[4] != terminator || slices.Contains(parts, "") {
		return incomplete("has a Credential that is not KEY/DATE/REGION/SERVICE/%s", terminator)
	}
	c.AccessKey, c.date, c.region, c.Service = parts[0], parts[1], parts[2], parts[3]
	c.scope = strings.Join(parts[1:], "/")
	if !slices.Contains(services, c.Service) {
		return api.Errorf("AuthFailure", "", "the credential is for the service %s, not %s", api.Printable(c.Service), strings.Join(services, " or "))
	}
	return nil
}

// covered checks that the signature names what it has to, in the one order that
// all clients use, and nothing that has not arrived.
func covered(h http.Header, signed []string) error {
	for i, name := range signed {
		if name == "" || name != strings.ToLower(name) || i > 0 && name <= signed[i-1] {
			return incomplete("has SignedHeaders that are not lower-case, sorted and each once")
		}
		if len(received(h, name)) == 0 && name != "host" && name != "content-length" {
			return incomplete("has %s among its SignedHeaders, and the request has no such header", api.Printable(name))
		}
	}
	must := []string{"host", dateHeader(h)}
	if len(h.Values("Content-Type")) > 0 {
		must = append(must, "content-type")
	}
	for _, name := range must {
		if !slices.Contains(signed, name) {
			return incomplete("lacks %s among its SignedHeaders", name)
		}
	}
	return nil
}

// dateHeader is the header that says when the request was made.
func dateHeader(h http.Header) string {
	if len(h.Values("X-Amz-Date")) == 0 && len(h.Values("Date")) > 0 {
		return "date"
	}
	return "x-amz-date"
}

func (c *Claim) moment(h http.Header, now time.Time) error {
	values := h.Values(dateHeader(h))
	if len(values) != 1 {
		return incomplete("comes with %d headers %s, not one", len(values), dateHeader(h))
	}
	at, err := time.Parse(timeFormat, values[0])
	if err != nil {
		at, err = http.ParseTime(values[0])
	}
	if err != nil {
		return incomplete("comes with the time %s, which is not like 20060102T150405Z", api.Printable(values[0]))
	}
	at = at.UTC()
	c.time = at.Format(timeFormat)
	if at.Format("20060102") != c.date {
		return incomplete("has a Credential of the day %s, and the request is of %s", api.Printable(c.date), c.time)
	}
	if off := now.Sub(at); off > Skew || off < -Skew {
		return api.Errorf("RequestExpired", "", "the request is of %s and it is %s here: more than %v apart; compare the clocks",
			c.time, now.UTC().Format(timeFormat), Skew)
	}
	return nil
}

// canonical is the canonical request up to the hash of the body.
func canonical(r *http.Request, signed []string) (string, error) {
	query, err := canonicalQuery(r.URL.RawQuery)
	if err != nil {
		return "", err
	}
	path := r.URL.EscapedPath()
	if path == "" {
		path = "/"
	}
	var b strings.Builder
	b.WriteString(r.Method + "\n" + path + "\n" + query + "\n")
	for _, name := range signed {
		b.WriteString(name + ":" + headerValue(r, name) + "\n")
	}
	b.WriteString("\n" + strings.Join(signed, ";") + "\n")
	return b.String(), nil
}

func received(h http.Header, name string) []string {
	return h[http.CanonicalHeaderKey(name)]
}

// headerValue joins the values of a header. Two of them net/http keeps elsewhere.
func headerValue(r *http.Request, name string) string {
	switch name {
	case "host":
		return r.Host
	case "content-length":
		return strconv.FormatInt(r.ContentLength, 10)
	}
	var values []string
	for _, v := range received(r.Header, name) {
		values = append(values, strings.Join(strings.Fields(v), " "))
	}
	return strings.Join(values, ",")
}

// canonicalQuery sorts the parameters by their encoded form, first by name.
func canonicalQuery(raw string) (string, error) {
	form, err := url.ParseQuery(raw)
	if err != nil {
		return "", api.Errorf("MalformedQueryString", "", "the query string cannot be read: %s", api.Printable(err.Error()))
	}
	var pairs [][2]string
	for name, values := range form {
		for _, v := range values {
			pairs = append(pairs, [2]string{encode(name), encode(v)})
		}
	}
	slices.SortFunc(pairs, func(a, b [2]string) int { return slices.Compare(a[:], b[:]) })
	lines := make([]string, len(pairs))
	for i, p := range pairs {
		lines[i] = p[0] + "=" + p[1]
	}
	return strings.Join(lines, "&"), nil
}

// encode escapes every byte that RFC 3986 does not call unreserved.
func encode(s string) string {
	const hexDigits = "0123456789ABCDEF"
	var b strings.Builder
	for _, c := range []byte(s) {
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', strings.IndexByte("-._~", c) >= 0:
			b.WriteByte(c)
		default:
			b.Write([]byte{'%', hexDigits[c>>4], hexDigits[c&15]})
		}
	}
	return b.String()
}

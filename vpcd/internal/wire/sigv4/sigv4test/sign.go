// Package sigv4test signs requests for tests. It shares no code with what
// checks them.
package sigv4test

import (
	"crypto/hmac"
	"crypto/sha256"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"
)

// Sign signs r, whose query string has to be in canonical form already, with
// the headers it has, its host, and x-amz-date, which it adds.
func Sign(r *http.Request, body, id, secret, service string, at time.Time) {
	now := at.UTC().Format("20060102T150405Z")
	r.Header.Set("X-Amz-Date", now)
	values := map[string]string{"host": r.Host}
	for name := range r.Header {
		values[strings.ToLower(name)] = r.Header.Get(name)
	}
	var names []string
	for name := range values {
		names = append(names, name)
	}
	slices.Sort(names)
	text := r.Method + "\n/\n" + r.URL.RawQuery + "\n"
	for _, name := range names {
		text += name + ":" + values[name] + "\n"
	}
	signed := strings.Join(names, ";")
	text += fmt.Sprintf("\n%s\n%x", signed, sha256.Sum256([]byte(body)))
	scope := strings.Join([]string{now[:8], "local-1", service, "aws4_request"}, "/")
	text = fmt.Sprintf("AWS4-HMAC-SHA256\n%s\n%s\n%x", now, scope, sha256.Sum256([]byte(text)))
	key := []byte("AWS4" + secret)
	for _, part := range []string{now[:8], "local-1", service, "aws4_request", text} {
		h := hmac.New(sha256.New, key)
		h.Write([]byte(part))
		key = h.Sum(nil)
	}
	r.Header.Set("Authorization", fmt.Sprintf("AWS4-HMAC-SHA256 Credential=%s/%s, SignedHeaders=%s, Signature=%x", id, scope, signed, key))
}

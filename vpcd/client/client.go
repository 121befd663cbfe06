// Package client calls the actions of a running vpcd over its unix socket.
//
// One call is one HTTP request: POST /v1/<Action> with the request as JSON. A
// success is 200 with the result as JSON and the store's revision in the header
// Vpc-Revision; a failure is any other status with {"Error":{…}}.
package client

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"reflect"
	"strconv"
	"syscall"

	"github.com/vpcfabric/vpc/vpcd/api"
)

var (
	// ErrNoDaemon says that nothing listens on the socket. The action did not happen.
	ErrNoDaemon = errors.New("no vpcd is listening")
	// ErrPermission says that the caller may not open the socket.
	ErrPermission = errors.New("permission denied")
	// ErrUnanswered says that the connection was closed before an answer came. A
	// daemon with far too many connections does that before it has read anything;
	// one that is stopped may have done the action.
	ErrUnanswered = errors.New("the connection was closed without an answer: vpcd has too many connections, or was stopped")
)

// errorText is as much as is shown of an answer that is not JSON, in bytes.
const errorText = 200

// Client is safe for concurrent use.
type Client struct {
	socket  string
	account string
	http    *http.Client
}

// New returns a client of the vpcd behind a socket. It does not connect yet.
func New(socketPath string) *Client {
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", socketPath)
	}
	return &Client{socket: socketPath, http: &http.Client{Transport: &http.Transport{DialContext: dial}}}
}

// WithAccount returns a client that acts for an account instead of the one
// that owns what comes over the socket.
func (c *Client) WithAccount(id string) *Client {
	other := *c
	other.account = id
	return &other
}

// Close closes idle connections. The client can be used again.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// Call does one action. Req and Res must be its structs in package api. The
// revision is that of the store after the action. Errors: *api.Error when the
// action was refused, ErrNoDaemon, ErrPermission, ErrUnanswered, ctx's
// error, or the transport's; after the last three the action may have happened.
func Call[Req, Res any](ctx context.Context, c *Client, action string, req *Req) (*Res, int64, error) {
	a, ok := api.Actions[action]
	if !ok {
		return nil, 0, fmt.Errorf("client: no action %s", action)
	}
	res := new(Res)
	if reflect.TypeOf(a.NewRequest()) != reflect.TypeOf(req) || reflect.TypeOf(a.NewResult()) != reflect.TypeOf(res) {
		return nil, 0, fmt.Errorf("client: %T and %T are not the request and result of %s", req, res, action)
	}
	revision, err := c.Do(ctx, action, req, res)
	if err != nil {
		return nil, 0, err
	}
	return res, revision, nil
}

// Do is Call for a caller that has the structs as values of any: req and res
// are pointers, res is filled in.
func (c *Client) Do(ctx context.Context, action string, req, res any) (revision int64, err error) {
	body, err := json.Marshal(req)
	if err != nil {
		return 0, fmt.Errorf("client: encode %s: %w", action, err)
	}
	post, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://vpcd"+api.PathPrefix+action, bytes.NewReader(body))
	if err != nil {
		return 0, err
	}
	post.Header.Set("Content-Type", "application/json")
	if c.account != "" {
		post.Header.Set(api.AccountHeader, c.account)
	}
	answer, err := c.http.Do(post)
	if err != nil {
		return 0, c.explain(err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		return 0, c.explain(err)
	}
	if answer.StatusCode != http.StatusOK {
		return 0, refusal(action, answer.Status, text)
	}
	if err := json.Unmarshal(text, res); err != nil {
		return 0, fmt.Errorf("client: the answer to %s: %w", action, err)
	}
	return revisionOf(answer.Header)
}

// explain names the socket and tells the failures apart that a user can mend.
func (c *Client) explain(err error) error {
	// net/http wraps everything in the URL, which is not one a user knows.
	if u := (*url.Error)(nil); errors.As(err, &u) {
		err = u.Err
	}
	switch {
	// Only before a connection exists do these mean that nobody was there.
	case dialing(err) && (errors.Is(err, os.ErrNotExist) || errors.Is(err, syscall.ECONNREFUSED)):
		return fmt.Errorf("%w on %s: %w", ErrNoDaemon, c.socket, err)
	case dialing(err) && errors.Is(err, os.ErrPermission):
		return fmt.Errorf("%w on %s: %w", ErrPermission, c.socket, err)
	case closed(err):
		return fmt.Errorf("%s: %w", c.socket, ErrUnanswered)
	}
	return fmt.Errorf("vpcd on %s: %w", c.socket, err)
}

// closed tells whether the other end closed before it answered.
func closed(err error) bool {
	// What net/http says of a connection that ends before the request is sent on
	// it, and has no name for.
	const early = "http: server closed idle connection"
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, syscall.ECONNRESET) ||
		errors.Is(err, syscall.EPIPE) || err.Error() == early
}

func dialing(err error) bool {
	var op *net.OpError
	return errors.As(err, &op) && op.Op == "dial"
}

func refusal(action, status string, text []byte) error {
	var body api.ErrorBody
	if err := json.Unmarshal(text, &body); err != nil || body.Error == nil || body.Error.Code == "" {
		return fmt.Errorf("client: %s was answered %s without an error: %q", action, status, text[:min(len(text), errorText)])
	}
	return body.Error
}

// revisionOf returns 0 when the answer carries no revision.
func revisionOf(h http.Header) (int64, error) {
	v := h.Get(api.RevisionHeader)
	if v == "" {
		return 0, nil
	}
	n, err := strconv.ParseInt(v, 10, 64)
	if err != nil {
		return 0, fmt.Errorf("client: header %s: %w", api.RevisionHeader, err)
	}
	return n, nil
}

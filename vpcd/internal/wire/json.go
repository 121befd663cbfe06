package wire

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/vpcfabric/vpc/vpcd/api"
	"github.com/vpcfabric/vpc/vpcd/internal/service"
)

// jsonHost is what the client calls the other end. A web page that has its name
// resolve to us cannot send it.
const jsonHost = "vpcd"

// RequestIDHeader of an answer is the id under which the log knows the request.
const RequestIDHeader = "Vpc-Request-Id"

// serveJSON is one request of the JSON encoding.
func (s *Server) serveJSON(w http.ResponseWriter, r *http.Request) {
	control := http.NewResponseController(w)
	// Bounds the rest of the body too when the request is refused unread.
	_ = control.SetReadDeadline(time.Now().Add(s.bodyTime))
	// Reading may write: 100 Continue. The connection's last deadline may be over.
	_ = control.SetWriteDeadline(time.Now().Add(s.bodyTime))
	id := newRequestID()
	c, err := s.admit(r, id)
	var answer []byte
	var revision int64
	if err != nil {
		// What follows on this connection may be the body of what was refused.
		w.Header().Set("Connection", "close")
	} else {
		answer, revision, err = s.run(r.Context(), c, codec{
			decode: func(request any) error {
				body, err := readBody(w, r, bodyMax)
				if err != nil {
					return err
				}
				_ = control.SetReadDeadline(time.Time{})
				return decodeJSON(body, request)
			},
			encode: encodeJSON,
		})
	}
	_ = control.SetWriteDeadline(time.Now().Add(s.answerTime))
	w.Header().Set(RequestIDHeader, id)
	writeJSON(w, answer, revision, err)
}

// admit decides from the header whether and for whom a request is run.
func (s *Server) admit(r *http.Request, id string) (call, error) {
	from := connOf(r.Context())
	if from == nil {
		return call{}, api.Errorf("AuthFailure", "", "who calls is not known")
	}
	if from.excess {
		return call{}, api.Errorf("RequestLimitExceeded", "", "there are more than %d connections: ask again", s.connMax)
	}
	if r.Host != jsonHost {
		return call{}, api.Errorf("UnauthorizedOperation", "Host", "the header Host is %q, not %s", api.Printable(r.Host), jsonHost)
	}
	if err := checkOrigin(r); err != nil {
		return call{}, err
	}
	if err := checkForm(r); err != nil {
		return call{}, err
	}
	// The escaped form has one spelling per action.
	name, ok := strings.CutPrefix(r.URL.EscapedPath(), api.PathPrefix)
	if !ok {
		return call{}, api.Errorf("InvalidAction", "", "the path is %q, not %s and an action", api.Printable(r.URL.EscapedPath()), api.PathPrefix)
	}
	action, err := s.lookup(name)
	if err != nil {
		return call{}, err
	}
	account, err := s.accountOf(r)
	if err != nil {
		return call{}, err
	}
	return call{id: id, action: action, caller: service.Caller{Account: account}, origin: from.peer.attrs()}, nil
}

// checkOrigin keeps web pages out, whatever brings them here.
func checkOrigin(r *http.Request) error {
	if len(r.Header.Values("Origin")) > 0 {
		return api.Errorf("UnauthorizedOperation", "Origin", "requests of web pages, which have the header Origin, are not served")
	}
	return nil
}

// checkForm refuses what HTTP allows and the client never sends.
func checkForm(r *http.Request) error {
	if r.Method != http.MethodPost {
		return api.Errorf("InvalidRequest", "", "the method is %q, not POST", api.Printable(r.Method))
	}
	if r.URL.RawQuery != "" || r.URL.ForceQuery {
		return api.Errorf("InvalidRequest", "", "the path ends in a query: the request belongs into the body")
	}
	if v := r.Header.Values("Content-Encoding"); len(v) > 0 {
		return api.Errorf("InvalidRequest", "Content-Encoding", "a body with the header Content-Encoding is not read")
	}
	types := r.Header.Values("Content-Type")
	if len(types) != 1 || !isMedia(types[0], "application/json") {
		return api.Errorf("InvalidRequest", "Content-Type", "the header Content-Type is %q, not application/json", api.Printable(strings.Join(types, ", ")))
	}
	if r.ContentLength > bodyMax {
		return tooLarge(bodyMax)
	}
	return nil
}

// isMedia tells whether a content type is want in UTF-8, said or not.
func isMedia(contentType, want string) bool {
	media, params, err := mime.ParseMediaType(contentType)
	if err != nil || media != want {
		return false
	}
	for k, v := range params {
		if k != "charset" || !strings.EqualFold(v, "utf-8") {
			return false
		}
	}
	return true
}

func (s *Server) accountOf(r *http.Request) (string, error) {
	named := r.Header.Values(api.AccountHeader)
	switch {
	case len(named) == 0:
		return s.account, nil
	case len(named) > 1 || !isAccount(named[0]):
		return "", api.Errorf("InvalidParameterValue", api.AccountHeader, "the account %q is not 12 digits", api.Printable(strings.Join(named, ", ")))
	}
	return named[0], nil
}

func tooLarge(most int64) error {
	return api.Errorf("InvalidRequest", "", "the body has more than %d bytes: split the request", most)
}

// readBody reads the whole body. One that is refused ends its connection,
// because where the next request begins is not known then.
func readBody(w http.ResponseWriter, r *http.Request, most int64) ([]byte, error) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, most))
	if err == nil {
		return body, nil
	}
	w.Header().Set("Connection", "close")
	var large *http.MaxBytesError
	if errors.As(err, &large) {
		return nil, tooLarge(most)
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return nil, api.Errorf("RequestTimeout", "", "the body did not arrive in time, and nothing was changed")
	}
	return nil, api.Errorf("InvalidRequest", "", "the body did not arrive whole: %s", api.Printable(err.Error()))
}

func encodeJSON(result any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	// No browser reads this, and people do.
	e.SetEscapeHTML(false)
	if err := e.Encode(result); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}

// writeJSON sends an answer, or err where there is one.
func writeJSON(w http.ResponseWriter, answer []byte, revision int64, err error) {
	status := http.StatusOK
	var e *api.Error
	if errors.As(err, &e) {
		status = api.HTTPStatus(e.Code)
		// An ErrorBody is strings: it always encodes.
		answer, _ = encodeJSON(api.ErrorBody{Error: e})
	} else {
		w.Header().Set(api.RevisionHeader, strconv.FormatInt(revision, 10))
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Length", strconv.Itoa(len(answer)))
	w.WriteHeader(status)
	// A caller who left has no use for an error.
	_, _ = w.Write(answer)
}

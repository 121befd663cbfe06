package wire

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/vpcfabric/vpc/vpcd/api"
	"github.com/vpcfabric/vpc/vpcd/internal/service"
	"github.com/vpcfabric/vpc/vpcd/internal/wire/ec2query"
	"github.com/vpcfabric/vpc/vpcd/internal/wire/sigv4"
)

// The services that a signature may be for.
const (
	serviceEC2 = "ec2"
	serviceSTS = "sts"
)

// Keys knows the access keys. The error for an id that is nobody's is an
// *api.Error with the code AuthFailure.
type Keys interface {
	AccessKey(ctx context.Context, id string) (service.AccessKey, error)
}

// EC2 answers the actions of a service in EC2's Query encoding, and who is
// calling in that of STS, so that AWS's own tools can drive it.
type EC2 struct {
	core
	keys Keys
	now  func() time.Time
	// host tells whether a request that names this host is meant for us.
	host   func(string) bool
	large  bodies
	doubts doubts
}

// NewEC2 makes a server of handlers, which it does not change, for whoever
// signs with one of keys. A nil logger means slog.Default.
func NewEC2(handlers map[string]service.Handler, keys Keys, logger *slog.Logger) *EC2 {
	s := &EC2{core: newCore(handlers, logger), keys: keys, now: time.Now}
	s.large.places = make(chan struct{}, largeBodies)
	s.bodyTime = unprovenTime
	s.http.Handler = http.HandlerFunc(s.serveEC2)
	return s
}

// Serve answers what comes in through l, until Shutdown, which makes it return
// nil at once. The listener is closed when it returns.
func (s *EC2) Serve(l *EC2Listener) error {
	s.host = l.serves
	share := int(max(1, s.connMax/4))
	callers := &crowd{perSource: share, perAccount: share}
	return s.accept(l.secure(&gate{Listener: l.Listener, max: s.connMax, crowd: callers, log: s.log}))
}

// serveEC2 is one request of the Query encoding.
func (s *EC2) serveEC2(w http.ResponseWriter, r *http.Request) {
	control := http.NewResponseController(w)
	// As for JSON: the first bounds a body that is refused unread, the second
	// what reading may write.
	_ = control.SetReadDeadline(time.Now().Add(s.bodyTime))
	_ = control.SetWriteDeadline(time.Now().Add(s.bodyTime))
	id := newRequestID()
	sent := signedRequest{service: serviceEC2}
	var answer []byte
	err := s.admitEC2(r)
	if err == nil {
		sent, err = s.authenticate(w, r)
	}
	if err != nil {
		// What follows on this connection may be the body of what was refused.
		w.Header().Set("Connection", "close")
		_ = control.SetReadDeadline(time.Now().Add(min(lingerTime, s.bodyTime)))
	} else {
		_ = control.SetReadDeadline(time.Time{})
		answer, err = s.answer(r.Context(), id, sent)
	}
	_ = control.SetWriteDeadline(time.Now().Add(s.answerTime))
	writeXML(w, sent.service, id, answer, err)
}

// signedRequest is a request of a caller who has proven who it is.
type signedRequest struct {
	service string // ec2 or sts
	key     service.AccessKey
	remote  string
	form    url.Values
}

// admitEC2 decides from the header whether a request is looked at.
func (s *EC2) admitEC2(r *http.Request) error {
	from := connOf(r.Context())
	if from == nil || from.excess {
		return api.Errorf("RequestLimitExceeded", "", "there are more than %d connections: ask again", s.connMax)
	}
	if !s.host(r.Host) {
		return api.Errorf("UnauthorizedOperation", "", "the header Host is %q, which is not this server", api.Printable(r.Host))
	}
	if err := checkOrigin(r); err != nil {
		return err
	}
	if path := r.URL.EscapedPath(); path != "/" && path != "" {
		return api.Errorf("InvalidRequest", "", "the path is %q, not /", api.Printable(path))
	}
	if v := r.Header.Values("Content-Encoding"); len(v) > 0 {
		return api.Errorf("InvalidRequest", "", "a body with the header Content-Encoding is not read")
	}
	if r.ContentLength > ec2BodyMax {
		return tooLarge(ec2BodyMax)
	}
	return checkQueryForm(r)
}

// checkQueryForm finds out that there is one place for the parameters: the
// query string of a GET, or the body of a POST.
func checkQueryForm(r *http.Request) error {
	switch r.Method {
	case http.MethodGet:
		if r.ContentLength != 0 {
			return api.Errorf("InvalidRequest", "", "a GET with a body is not read: its parameters belong into the query string")
		}
	case http.MethodPost:
		if r.URL.RawQuery != "" || r.URL.ForceQuery {
			return api.Errorf("InvalidRequest", "", "the path of a POST ends in a query: the parameters belong into the body")
		}
		types := r.Header.Values("Content-Type")
		if len(types) != 1 || !isMedia(types[0], "application/x-www-form-urlencoded") {
			return api.Errorf("InvalidRequest", "", "the header Content-Type is %q, not application/x-www-form-urlencoded", api.Printable(strings.Join(types, ", ")))
		}
	default:
		return api.Errorf("InvalidRequest", "", "the method is %q, not POST or GET", api.Printable(r.Method))
	}
	return nil
}

// authenticate reads the body and finds whose request it is. The service is set
// as soon as it is known, because errors have its form.
//
// The answer for a key that does not exist is that for a wrong secret, but it
// comes without waiting for the body: who knows no key gets none read. So who
// has an id can find out whether it is one of ours. That is no secret: every
// request carries the id in the clear, and with 80 random bits none is guessed.
func (s *EC2) authenticate(w http.ResponseWriter, r *http.Request) (signedRequest, error) {
	sent := signedRequest{service: serviceEC2, remote: r.RemoteAddr}
	claim, err := sigv4.Read(r, s.now(), serviceEC2, serviceSTS)
	if claim.Service != "" {
		sent.service = claim.Service
	}
	if err != nil {
		s.distrust(r, "", err)
		return sent, err
	}
	var body []byte
	sent.key, err = s.keys.AccessKey(r.Context(), claim.AccessKey)
	if err == nil {
		if body, err = s.readUnproven(w, r, claim.AccessKey); err != nil {
			return sent, err
		}
		if !claim.Verify(sent.key.Secret, body) {
			err = api.Errorf("AuthFailure", "", "the signature does not match")
		}
	}
	if err != nil {
		s.distrust(r, claim.AccessKey, err)
		if isCode(err, "AuthFailure") {
			err = doesNotHold(claim.Service)
		}
		return sent, err
	}
	if err := connOf(r.Context()).prove(sent.key.Account); err != nil {
		return sent, err
	}
	text := string(body)
	if r.Method == http.MethodGet {
		text = r.URL.RawQuery
	}
	sent.form, err = parseForm(text)
	return sent, err
}

// doesNotHold is the one answer to all who are not who they claim to be.
func doesNotHold(service string) error {
	code := "AuthFailure"
	if service == serviceSTS {
		code = "SignatureDoesNotMatch"
	}
	return api.Errorf(code, "", "the access key is not known here, or the request was not signed with its secret, or it was changed on its way; `vpc access-key list` shows the keys")
}

func isCode(err error, code string) bool {
	var e *api.Error
	return errors.As(err, &e) && e.Code == code
}

// parseForm counts before it makes a map of what may be half a million names.
func parseForm(text string) (url.Values, error) {
	if strings.Count(text, "&") >= ec2query.ParameterMax {
		return nil, malformed("the request has more than " + strconv.Itoa(ec2query.ParameterMax) + " parameters")
	}
	form, err := url.ParseQuery(text)
	if err != nil {
		return nil, malformed("the parameters cannot be read: " + api.Printable(err.Error()))
	}
	for _, name := range []string{"SecurityToken", "X-Amz-Security-Token"} {
		if form.Has(name) {
			return nil, api.Errorf("AuthFailure", "", "temporary credentials, with the parameter %s, are not known here", name)
		}
	}
	return form, nil
}

// answer is what the service says to a request.
func (s *EC2) answer(ctx context.Context, id string, sent signedRequest) ([]byte, error) {
	for _, name := range []string{"Action", "Version"} {
		if values := sent.form[name]; len(values) != 1 || values[0] == "" {
			return nil, api.Errorf("MissingParameter", "", "the request must contain the parameter %s once", name)
		}
	}
	name, version := sent.form.Get("Action"), sent.form.Get("Version")
	if sent.service == serviceSTS {
		return answerSTS(name, version, id, sent)
	}
	if version != ec2query.Version {
		return nil, api.Errorf("NoSuchVersion", "", "the version of the interface is %q, not %s", api.Printable(version), ec2query.Version)
	}
	// What EC2 does not have, its clients cannot mean.
	if api.Actions[name].Own {
		return nil, api.Errorf("InvalidAction", "", "EC2 has no action %s: it belongs to the command line vpc", name)
	}
	action, err := s.lookup(name)
	if err != nil {
		return nil, err
	}
	c := call{id: id, action: action, caller: service.Caller{Account: sent.key.Account}, origin: []slog.Attr{
		slog.String("key", sent.key.ID), slog.String("remote", sent.remote),
	}}
	answer, _, err := s.run(ctx, c, codec{
		decode: func(request any) error { return ec2query.Decode(sent.form, request) },
		encode: func(result any) ([]byte, error) { return ec2query.EncodeResult(name, id, result) },
	})
	var e *api.Error
	if errors.As(err, &e) {
		err = ec2query.Name(e, action.NewRequest())
	}
	return answer, err
}

// writeXML sends an answer, or err where there is one, in the form of a service.
func writeXML(w http.ResponseWriter, service, id string, answer []byte, err error) {
	status := http.StatusOK
	if err != nil {
		var e *api.Error
		if !errors.As(err, &e) {
			e = api.Errorf("InternalError", "", "the request %s failed by a fault of vpcd", id)
		}
		status = api.HTTPStatus(e.Code)
		if service == serviceSTS {
			answer = encodeSTSError(e.Code, e.Message, id)
		} else {
			answer = ec2query.EncodeError(e.Code, e.Message, id)
		}
	}
	h := w.Header()
	h.Set("Content-Type", "text/xml;charset=UTF-8")
	h.Set("Content-Length", strconv.Itoa(len(answer)))
	h.Set("X-Amzn-Requestid", id)
	w.WriteHeader(status)
	// A caller who left has no use for an error.
	_, _ = w.Write(answer)
}

package attach

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

const (
	maxAnswer     = 4 << 20 // bytes of one answer
	maxEvent      = 1 << 20 // bytes of one event
	maxEngineID   = 256     // bytes; they have 36, and had 59
	dockerTimeout = 3 * time.Second
	// eventOverlap covers what happened while the stream was being set up. The
	// engine counts in seconds.
	eventOverlap = 2 * time.Second
)

var (
	errNoContainer = errors.New("no such container")
	errNoDocker    = errors.New("no Docker engine")
)

// refusal is an answer of the engine other than the one wanted.
type refusal struct {
	status  int
	message string
}

func (e *refusal) Error() string { return fmt.Sprintf("docker: %d %s", e.status, e.message) }

// docker speaks the part of the engine's HTTP API that following containers
// takes (https://docs.docker.com/reference/api/engine). Paths without a version
// mean the engine's newest, in which these fields have kept their meaning.
type docker struct {
	socket string
	client *http.Client
}

// container is what an engine knows of one container.
type container struct {
	ID    string `json:"Id"`
	Name  string // with a leading slash
	State struct {
		Running, Restarting bool
		Pid                 int
	}
	HostConfig      struct{ NetworkMode string }
	NetworkSettings struct {
		// SandboxKey is a file that is the container's network namespace.
		SandboxKey string
	}
}

func newDocker(socket string) *docker {
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{Timeout: dockerTimeout}).DialContext(ctx, "unix", socket)
	}
	return &docker{socket, &http.Client{Transport: &http.Transport{
		DialContext: dial, ResponseHeaderTimeout: dockerTimeout, MaxIdleConns: 2, IdleConnTimeout: time.Minute,
	}}}
}

// get asks; the caller closes the body. No socket is errNoDocker.
func (d *docker) get(ctx context.Context, path string) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://docker"+path, nil)
	if err != nil {
		return nil, err
	}
	resp, err := d.client.Do(req)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w: %s does not exist", errNoDocker, d.socket)
	}
	if err != nil {
		return nil, fmt.Errorf("docker: %w", err)
	}
	if resp.StatusCode == http.StatusOK {
		return resp, nil
	}
	defer resp.Body.Close()
	var said struct {
		Message string `json:"message"`
	}
	if decode(resp.Body, &said) != nil || said.Message == "" {
		said.Message = http.StatusText(resp.StatusCode)
	}
	return nil, &refusal{resp.StatusCode, said.Message}
}

// ambiguity is the answer to the start of an id that several containers share.
type ambiguity struct{ candidates []container }

func (e *ambiguity) Error() string {
	return fmt.Sprintf("%d containers have an id that begins so", len(e.candidates))
}

// inspect asks about a container by name, id, or the start of an id. None is
// errNoContainer, several are an ambiguity.
func (d *docker) inspect(ctx context.Context, name string) (container, error) {
	ctx, cancel := context.WithTimeout(ctx, dockerTimeout)
	defer cancel()
	var c container
	resp, err := d.get(ctx, "/containers/"+url.PathEscape(name)+"/json")
	var refused *refusal
	if errors.As(err, &refused) && refused.status == http.StatusNotFound {
		return c, errNoContainer
	}
	// Engines give this answer with different codes; the text is the same.
	if refused != nil && strings.Contains(strings.ToLower(refused.message), "multiple ids") {
		return c, d.candidates(ctx, name, err)
	}
	if err != nil {
		return c, err
	}
	defer resp.Body.Close()
	if err := decode(resp.Body, &c); err != nil {
		return c, fmt.Errorf("docker: container %s: %w", name, err)
	}
	if !containerID.MatchString(c.ID) {
		return c, fmt.Errorf("docker: container %s: the answer has no full id", name)
	}
	c.Name = strings.TrimPrefix(c.Name, "/")
	if !containerName.MatchString(c.Name) {
		c.Name = c.ID[:12]
	}
	return c, nil
}

// engineID is the id of the engine, which it keeps beside its containers: with
// another data directory it is another one.
func (d *docker) engineID(ctx context.Context) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, dockerTimeout)
	defer cancel()
	resp, err := d.get(ctx, "/info")
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	var info struct{ ID string }
	if err := decode(resp.Body, &info); err != nil {
		return "", fmt.Errorf("docker: info: %w", err)
	}
	if info.ID == "" || len(info.ID) > maxEngineID {
		return "", errors.New("docker: info: the answer has no id")
	}
	return info.ID, nil
}

// candidates names the containers whose ids begin with prefix; cause is the
// answer where they cannot be listed.
func (d *docker) candidates(ctx context.Context, prefix string, cause error) error {
	resp, err := d.get(ctx, "/containers/json?all=1") // what their filter of ids matches differs
	if err != nil {
		return cause
	}
	defer resp.Body.Close()
	var list []struct {
		ID    string `json:"Id"`
		Names []string
	}
	if decode(resp.Body, &list) != nil {
		return cause
	}
	several := &ambiguity{}
	for _, c := range list {
		if !strings.HasPrefix(c.ID, prefix) || !containerID.MatchString(c.ID) {
			continue
		}
		name := c.ID[:12]
		if len(c.Names) > 0 && containerName.MatchString(strings.TrimPrefix(c.Names[0], "/")) {
			name = strings.TrimPrefix(c.Names[0], "/")
		}
		several.candidates = append(several.candidates, container{ID: c.ID, Name: name})
	}
	if len(several.candidates) < 2 {
		return cause
	}
	return several
}

// events calls connected once, then event with the id of each container that
// starts, dies or is removed, until the stream ends. The error is never nil.
func (d *docker) events(ctx context.Context, since time.Time, connected func(), event func(id string)) error {
	query := url.Values{
		"since":   {strconv.FormatInt(since.Add(-eventOverlap).Unix(), 10)},
		"filters": {`{"type":["container"],"event":["start","die","destroy"]}`},
	}
	resp, err := d.get(ctx, "/events?"+query.Encode())
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	connected()
	lines := bufio.NewScanner(resp.Body)
	lines.Buffer(nil, maxEvent)
	for lines.Scan() {
		if len(lines.Bytes()) == 0 {
			continue
		}
		var e struct{ Actor struct{ ID string } }
		if err := json.Unmarshal(lines.Bytes(), &e); err != nil {
			return fmt.Errorf("docker: events: %w", err)
		}
		event(e.Actor.ID)
	}
	if err := lines.Err(); err != nil {
		return fmt.Errorf("docker: events: %w", err)
	}
	return fmt.Errorf("docker: events: %w", io.ErrUnexpectedEOF)
}

// decode reads one JSON value of at most maxAnswer bytes.
func decode(r io.Reader, into any) error {
	b, err := io.ReadAll(io.LimitReader(r, maxAnswer+1))
	if err != nil {
		return err
	}
	if len(b) > maxAnswer {
		return fmt.Errorf("the answer is longer than %d bytes", maxAnswer)
	}
	return json.Unmarshal(b, into)
}

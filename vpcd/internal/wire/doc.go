// Package wire carries the actions of a service over connections. Here is the
// JSON encoding, spoken on a unix socket: POST /v1/<Action> with the request as
// body, answered by 200 and the result, or by api.HTTPStatus and an api.ErrorBody.
//
// An encoding brings only what is its own: how a request says which action it
// wants and for whom (a call), and a codec that reads the request and writes
// the result. Everything from there to the handler and back is Server.run and
// is the same for all of them.
//
// # Promises
//
//   - A request is read to the letter or refused: unknown members, members
//     given twice, other spellings, null, numbers with a fraction, text after
//     the end. Nothing is ignored that a caller may have meant.
//   - What a caller can make the daemon hold is bounded: connections, header
//     and body in bytes and in time, elements of a request.
//   - A web page cannot call: a wrong Host, any Origin, and any content type
//     that a form can send are refused.
//   - Who calls is what the kernel says of the other end of the socket, and
//     each action that changes something leaves one line in the log.
//   - A panic in a handler costs one call, never the daemon.
//   - The socket never has wider permissions than it ends up with, not even
//     for a moment, and a live socket of another process is never taken away.
//
// # What a reviewer should check
//
//   - No answer depends on a part of a request that admit does not look at.
//   - Text of a caller goes through printable before it is logged or repeated.
//   - Every read and every write of a connection happens under a deadline,
//     except the wait for a handler.
package wire

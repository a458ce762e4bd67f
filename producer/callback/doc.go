// Package callback is the address that WeChat pushes to: it verifies a push,
// opens it, stores it for the workers and only then answers "success"; see
// "消息推送" in the WeChat documentation.
//
// # What proves a push
//
// How an app's pushes must look is the app's configuration and never the
// request's word. An app with an AES key takes sealed pushes only: safe mode,
// and compatible mode, whose plaintext fields nothing covers and nobody reads.
// An app without one takes plaintext, whose signature covers the time and the
// nonce but not the body: whoever sees one such request can send other bodies
// with it for ten minutes. Safe mode is what to recommend.
//
// # What a stranger learns
//
// Nothing. An unknown app, a wrong signature, a stale time, a body too large or
// unreadable, a text that does not open: the answer is the same, to the byte. The
// log has the reason, in one word, once a minute, and never what was sent.
//
// Nor is there anything to learn from the 503 of a large body that arrives while many
// others do: it comes before anything was looked at. Large bodies share what they may
// hold of the memory; a push of the usual size is taken whatever they do.
//
// # Repeats
//
// WeChat repeats a push until it is answered, so each event carries a Source
// made of what was pushed, before it was sealed. A repeated push has the same
// Source and becomes one task; an event that could not be stored is answered
// with 500, so that it is pushed again.
package callback

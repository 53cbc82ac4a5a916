// SPDX-License-Identifier: Apache-2.0
#define _GNU_SOURCE
#include "reply.h"

#include <string.h>
#include <strings.h>

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/* `HTTP/1.1 200 OK`; -1: it is not. */
static int parse_status(const char *line, size_t length)
{
	if (length < 12 || (memcmp(line, "HTTP/1.1 ", 9) != 0 && memcmp(line, "HTTP/1.0 ", 9) != 0))
		return -1;
	if (!is_digit(line[9]) || !is_digit(line[10]) || !is_digit(line[11]) || (length > 12 && line[12] != ' '))
		return -1;
	return (line[9] - '0') * 100 + (line[10] - '0') * 10 + (line[11] - '0');
}

/* True when the line is the header field `name` (with its colon); `value` is then what follows. */
static bool is_field(const char *line, size_t length, const char *name, const char **value, size_t *value_length)
{
	size_t name_length = strlen(name);

	if (length < name_length || strncasecmp(line, name, name_length) != 0)
		return false;
	line += name_length;
	length -= name_length;
	while (length > 0 && (*line == ' ' || *line == '\t')) {
		line++;
		length--;
	}
	*value = line;
	*value_length = length;
	return true;
}

/* Up to nine digits; -1: something else. */
static long parse_length(const char *text, size_t length)
{
	long number = 0;

	if (length == 0 || length > 9)
		return -1;
	for (size_t i = 0; i < length; i++) {
		if (!is_digit(text[i]))
			return -1;
		number = number * 10 + (text[i] - '0');
	}
	return number;
}

/* How the body ends. */
struct framing {
	/* -1: not given; the body then ends with the connection. */
	long content_length;
	bool chunked;
};

/* NULL, or what is wrong. */
static const char *parse_field(const char *line, size_t length, struct framing *framing)
{
	const char *value;
	size_t value_length;

	if (is_field(line, length, "Transfer-Encoding:", &value, &value_length)) {
		framing->chunked = value_length == 7 && strncasecmp(value, "chunked", 7) == 0;
		return framing->chunked ? NULL : "the transfer encoding is not known";
	}
	if (!is_field(line, length, "Content-Length:", &value, &value_length))
		return NULL;
	framing->content_length = parse_length(value, value_length);
	return framing->content_length < 0 ? "Content-Length is not a number" : NULL;
}

static int hex_value(char c)
{
	if (is_digit(c))
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static const char *cut(struct http_reply *reply)
{
	reply->cut = true;
	return "the connection was closed before the reply was whole";
}

/* True when the bytes are as much of `text` as they can be. */
static bool begins(const char *text, const char *bytes, size_t length)
{
	return memcmp(text, bytes, length < strlen(text) ? length : strlen(text)) == 0;
}

/* The size of the chunk at `from`, which moves behind its line; -1: malformed, -2: cut. Extensions and trailers are not sent by an agent. */
static long parse_chunk_size(const char **from, const char *end)
{
	const char *at = *from;
	long size = 0;

	while (at < end && at - *from < 7 && hex_value(*at) >= 0)
		size = size * 16 + hex_value(*at++);
	if (end - at < 2 && begins("\r\n", at, (size_t)(end - at)))
		return -2;
	if (at == *from || !begins("\r\n", at, (size_t)(end - at)))
		return -1;
	*from = at + 2;
	return size;
}

/* Joins the chunks in place (RFC 9112 section 7.1). */
static const char *join_chunks(char *body, struct http_reply *reply)
{
	const char *from = body, *end = body + reply->body_length;
	char *to = body;

	for (;;) {
		long size = parse_chunk_size(&from, end);
		size_t left = (size_t)(end - from);

		if (size == -2)
			return cut(reply);
		if (size >= 0 && left < (size_t)size + 2)
			return cut(reply);
		if (size < 0 || memcmp(from + size, "\r\n", 2) != 0)
			return "a chunk of the body is broken";
		memmove(to, from, (size_t)size);
		to += size;
		from += size + 2;
		if (size == 0)
			break;
	}
	reply->body_length = (size_t)(to - body);
	return from == end ? NULL : "there is more than the body";
}

const char *parse_reply(char *bytes, size_t length, struct http_reply *reply)
{
	char *end = length ? memmem(bytes, length, "\r\n\r\n", 4) : NULL;
	struct framing framing = {.content_length = -1};
	const char *line = bytes;

	if (!end)
		return begins("HTTP/1.", bytes, length) ? cut(reply) : "the first line is not that of HTTP";
	while (line < end + 2) {
		const char *line_end = memmem(line, (size_t)(end + 2 - line), "\r\n", 2);
		size_t line_length = (size_t)(line_end - line);
		const char *wrong = NULL;

		if (line == bytes)
			reply->status = parse_status(line, line_length);
		else
			wrong = parse_field(line, line_length, &framing);
		if (reply->status < 0)
			return "the first line is not that of HTTP";
		if (wrong)
			return wrong;
		line = line_end + 2;
	}
	reply->body = end + 4;
	reply->body_length = length - (size_t)(reply->body - bytes);
	if (framing.chunked)
		return join_chunks(end + 4, reply);
	if (framing.content_length >= 0 && (size_t)framing.content_length > reply->body_length)
		return cut(reply);
	if (framing.content_length >= 0 && (size_t)framing.content_length != reply->body_length)
		return "the body is not as long as the header says";
	return NULL;
}

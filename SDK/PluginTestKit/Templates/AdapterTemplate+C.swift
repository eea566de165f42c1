// swift-format-ignore-file
// Made of SDK/Examples by make-templates.py; change the example, not this file.

extension AdapterTemplate {
  /// What stands for the words in the shared files.
  static let cWords = ["@language@": "C", "@executable@": "adapter", "@runtime@": ""]

  /// The example in SDK/Examples/c.
  static let cFiles: [(path: String, text: String)] = [
    (
      "adapter.c",
##"""
// Publishes notes to Microblog. Speaks the plugin protocol (docs/protocol.md) without a kit; JSON is read by jansson.
//
// One thread reads stdin. Each call of the host runs in a thread of its own, so that a call that waits for an answer of
// the host holds up no other.
#define _GNU_SOURCE
#include <jansson.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define ID "example-c"
#define VERSION "1.0.0"
enum { TEXT_LIMIT = 300, PICTURE_LIMIT = 4, SLOTS = 256 };

// MARK: Messages

static int out = 1;
static pthread_mutex_t write_lock = PTHREAD_MUTEX_INITIALIZER;

// Writes one message and gives it up.
static void send_message(json_t *message) {
  json_object_set_new(message, "jsonrpc", json_string("2.0"));
  char *text = json_dumps(message, JSON_COMPACT);
  json_decref(message);
  if (!text) return;
  size_t length = strlen(text), done = 0;
  text[length++] = '\n';  // where the final NUL was: the length is known
  pthread_mutex_lock(&write_lock);
  while (done < length) {
    ssize_t count = write(out, text + done, length - done);
    if (count <= 0) break;  // nobody reads any more; the end of stdin will follow
    done += (size_t)count;
  }
  pthread_mutex_unlock(&write_lock);
  free(text);
}

static json_t *failure(int code, const char *kind, const char *message) {
  return json_pack("{s:i, s:s, s:{s:s}}", "code", code, "message", message, "data", "kind", kind);
}

static json_t *invalid(const char *field) {
  json_t *error = failure(-32602, "invalidParams", "a parameter is missing or has another type");
  json_object_set_new(json_object_get(error, "data"), "field", json_string(field));
  return error;
}

static void reply(json_t *id, json_t *result, json_t *error) {
  if (error) {
    json_decref(result);
    send_message(json_pack("{s:O, s:o}", "id", id, "error", error));
  } else {
    send_message(json_pack("{s:O, s:o}", "id", id, "result", result));
  }
}

// MARK: Calls

// One call of the host. `answer` is what the host said to the request it waits for.
typedef struct Call {
  json_t *id, *params, *answer;
  json_int_t waiting_for;
  bool used, cancelled;
  json_t *(*work)(struct Call *call, json_t **error);
} Call;

static Call calls[SLOTS];
static int running;
static json_int_t last_request;
static bool ready, draining;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;

static json_t *param(Call *call, const char *key, json_type type, json_t **error) {
  json_t *value = json_object_get(call->params, key);
  if (value && json_typeof(value) == type) return value;
  if (!*error) *error = invalid(key);
  return NULL;
}

static const char *text_at(json_t *object, const char *key) {
  const char *text = json_string_value(json_object_get(object, key));
  return text ? text : "";
}

// Asks the host for an HTTP request and waits. The answer belongs to the caller; NULL means that *error is set.
static json_t *http(Call *call, json_t *request, json_t **error) {
  const char *name = text_at(json_object_get(call->params, "_meta"), "call");
  json_object_set_new(request, "call", json_string(name));
  pthread_mutex_lock(&lock);
  json_int_t id = call->waiting_for = ++last_request;
  pthread_mutex_unlock(&lock);
  send_message(json_pack("{s:I, s:s, s:o}", "id", id, "method", "host/http", "params", request));
  pthread_mutex_lock(&lock);
  while (!call->answer && !call->cancelled) pthread_cond_wait(&changed, &lock);
  json_t *message = call->answer;
  call->answer = NULL;
  call->waiting_for = 0;
  pthread_mutex_unlock(&lock);
  if (!message) {
    *error = failure(-32800, "cancelled", "the call was canceled");
    return NULL;
  }
  // The host knows best what its errors mean: they go back as they came.
  *error = json_incref(json_object_get(message, "error"));
  json_t *result = *error ? NULL : json_incref(json_object_get(message, "result"));
  json_decref(message);
  if (!result && !*error) *error = failure(-32603, "internal", "the host's answer is empty");
  return result;
}

// The JSON object of a good answer, borrowed; any other answer becomes the error that tells the host what to do.
static json_t *body(json_t *answer, int good, json_t **error) {
  int status = (int)json_integer_value(json_object_get(answer, "status"));
  json_t *found = json_object_get(answer, "json");
  if (status == good && json_is_object(found)) return found;
  if (status == 401 || status == 403) {
    *error = failure(1001, "authExpired", "Microblog does not accept the token any more.");
  } else if (status == 429) {
    *error = failure(1010, "rateLimited", "Microblog asks to slow down.");
    long seconds = strtol(text_at(json_object_get(answer, "headers"), "retry-after"), NULL, 10);
    if (seconds <= 0 || seconds > 86400) seconds = 60;
    json_object_set_new(json_object_get(*error, "data"), "retryAfterMs", json_integer(seconds * 1000));
  } else if (status == 413 || status == 415) {
    *error = failure(1021, "mediaRejected", "Microblog refused a picture.");
  } else if (status >= 400 && status < 500) {
    *error = failure(1020, "contentRejected", "Microblog refused the note.");
  } else if (status >= 500) {
    *error = failure(1012, "platformDown", "Microblog has trouble.");
  } else {
    *error = failure(1050, "platformChanged", "Microblog's answer has another form than expected.");
  }
  return NULL;
}

static const char *need_text(json_t *found, const char *key, json_t **error) {
  const char *text = text_at(found, key);
  if (!*text && !*error) *error = failure(1050, "platformChanged", "Microblog's answer lacks a member.");
  return text;
}

// MARK: The platform

static json_t *identify(Call *call, json_t **error) {
  json_t *answer = http(call, json_pack("{s:s}", "rule", "me"), error), *result = NULL;
  json_t *me = answer ? body(answer, 200, error) : NULL;
  if (me) {
    result = json_pack("{s:s, s:s, s:s}", "id", need_text(me, "id", error), "name", need_text(me, "name", error),
                       "handle", need_text(me, "username", error));
  }
  json_decref(answer);
  return result;
}

static json_t *capabilities(Call *call, json_t **error) {
  (void)call, (void)error;
  return json_pack("{s:{s:i, s:s}, s:{s:i, s:i, s:[s, s], s:i}, s:[s, s]}", "text", "limit", TEXT_LIMIT, "unit",
                   "characters", "media", "images", PICTURE_LIMIT, "imageBytes", 2097152, "imageTypes", "image/jpeg",
                   "image/png", "altLimit", 500, "features", "delete", "reconcile");
}

// Code points of a text; jansson has checked that it is UTF-8.
static int length_of(const char *text) {
  int count = 0;
  for (; *text; text++) count += ((unsigned char)*text & 0xC0) != 0x80;
  return count;
}

static void fault(json_t *findings, bool is_wrong, const char *field, const char *code, const char *message) {
  if (!is_wrong) return;
  json_array_append_new(findings, json_pack("{s:s, s:s, s:s, s:s}", "field", field, "severity", "error", "code", code,
                                            "message", message));
}

static json_t *validate(Call *call, json_t **error) {
  json_t *post = param(call, "post", JSON_OBJECT, error);
  if (!post) return NULL;
  const char *text = text_at(post, "text");
  json_t *media = json_object_get(post, "media"), *item, *findings = json_array();
  int length = length_of(text);
  bool has_foreign_type = false;
  size_t index;
  json_array_foreach(media, index, item) {
    const char *type = text_at(item, "type");
    if (strcmp(type, "image/jpeg") && strcmp(type, "image/png")) has_foreign_type = true;
  }
  fault(findings, length > TEXT_LIMIT, "text", "tooLong", "Microblog takes 300 characters.");
  fault(findings, text[strspn(text, " \t\r\n")] == 0 && json_array_size(media) == 0, "text", "empty",
        "A note needs a text or a picture.");
  fault(findings, json_array_size(media) > PICTURE_LIMIT, "media", "tooMany", "Microblog takes 4 pictures.");
  fault(findings, has_foreign_type, "media", "badType", "Microblog takes JPEG and PNG.");
  return json_pack("{s:o, s:{s:i, s:i, s:s}}", "findings", findings, "length", "count", length, "limit", TEXT_LIMIT,
                   "unit", "characters");
}

static json_t *render(Call *call, json_t **error) {
  json_t *result = validate(call, error);
  if (result) json_object_set_new(result, "text", json_string(text_at(json_object_get(call->params, "post"), "text")));
  return result;
}

static json_t *publish(Call *call, json_t **error) {
  json_t *post = param(call, "post", JSON_OBJECT, error), *item, *pictures = json_array(), *result = NULL;
  size_t index;
  if (!post) return json_decref(pictures), NULL;
  json_array_foreach(json_object_get(post, "media"), index, item) {
    char step[32];  // named after the picture's place, so that it is the same at every run
    snprintf(step, sizeof step, "picture-%zu", index + 1);
    json_t *answer = http(call, json_pack("{s:s, s:s, s:{s:s}, s:{s:s}}", "rule", "uploadPicture", "step", step,
                                          "headers", "content-type", text_at(item, "type"), "media", "handle",
                                          text_at(item, "handle")), error);
    json_t *found = answer ? body(answer, 201, error) : NULL;
    if (found) {
      json_array_append_new(pictures, json_pack("{s:s, s:s}", "id", need_text(found, "id", error), "alt",
                                                text_at(item, "alt")));
    }
    json_decref(answer);
    if (*error) return json_decref(pictures), NULL;
  }
  json_t *answer = http(call, json_pack("{s:s, s:s, s:{s:s, s:o}}", "rule", "createNote", "step", "note", "json", "text",
                                        text_at(post, "text"), "pictures", pictures), error);
  json_t *note = answer ? body(answer, 201, error) : NULL;
  if (note) {
    result = json_pack("{s:s, s:s, s:[]}", "remoteId", need_text(note, "id", error), "url", text_at(note, "url"),
                       "warnings");
  }
  json_decref(answer);
  return result;
}

static json_t *reconcile(Call *call, json_t **error) {
  json_t *post = param(call, "post", JSON_OBJECT, error), *job = param(call, "job", JSON_OBJECT, error);
  if (!post || !job) return NULL;
  json_t *answer = http(call, json_pack("{s:s, s:{s:s, s:s}}", "rule", "listNotes", "query", "since",
                                        text_at(job, "now"), "limit", "200"), error);
  json_t *found = answer ? body(answer, 200, error) : NULL, *note, *result = NULL;
  size_t index, pictures = json_array_size(json_object_get(post, "media"));
  if (found) {
    json_array_foreach(json_object_get(found, "notes"), index, note) {
      if (strcmp(text_at(note, "text"), text_at(post, "text"))) continue;
      if ((size_t)json_integer_value(json_object_get(note, "pictures")) != pictures) continue;
      result = json_pack("{s:s, s:s, s:s}", "verdict", "found", "remoteId", need_text(note, "id", error), "url",
                         text_at(note, "url"));
      break;
    }
    if (!result && json_is_false(json_object_get(found, "more"))) result = json_pack("{s:s}", "verdict", "absent");
    if (!result) result = json_pack("{s:s, s:s}", "verdict", "unknown", "why", "there are more than 200 notes");
  }
  json_decref(answer);
  return result;
}

static json_t *delete_post(Call *call, json_t **error) {
  json_t *id = param(call, "remoteId", JSON_STRING, error);
  if (!id) return NULL;
  json_t *answer = http(call, json_pack("{s:s, s:s, s:{s:O}}", "rule", "deleteNote", "step", "delete", "path", "id", id),
                        error);
  int status = answer ? (int)json_integer_value(json_object_get(answer, "status")) : 0;
  if (answer && status != 204 && status != 404) body(answer, 0, error);
  json_decref(answer);
  return *error ? NULL : json_pack("{s:b}", "deleted", 1);
}

static const struct {
  const char *name;
  json_t *(*work)(Call *call, json_t **error);
} methods[] = {
  {"account/capabilities", capabilities}, {"account/identify", identify}, {"post/delete", delete_post},
  {"post/publish", publish}, {"post/reconcile", reconcile}, {"post/render", render}, {"post/validate", validate},
};
enum { METHODS = sizeof methods / sizeof *methods };

// MARK: The conversation

static void *run_call(void *argument) {
  Call *call = argument;
  json_t *error = NULL, *result = call->work(call, &error);
  if (!result && !error) error = failure(-32603, "internal", "the plugin has no memory left");
  reply(call->id, result, error);
  pthread_mutex_lock(&lock);
  json_decref(call->id);
  json_decref(call->params);
  json_decref(call->answer);
  *call = (Call){0};
  running--;
  pthread_cond_broadcast(&changed);
  pthread_mutex_unlock(&lock);
  return NULL;
}

// Answers drain when nothing else runs.
static void *run_drain(void *argument) {
  json_t *id = argument;
  pthread_mutex_lock(&lock);
  while (running > 0) pthread_cond_wait(&changed, &lock);
  pthread_mutex_unlock(&lock);
  reply(id, json_object(), NULL);
  json_decref(id);
  return NULL;
}

static bool start_thread(void *(*body)(void *), void *argument) {
  pthread_t thread;
  if (pthread_create(&thread, NULL, body, argument) != 0) return false;
  pthread_detach(thread);
  return true;
}

static json_t *start_call(json_t *id, json_t *params, json_t *(*work)(Call *, json_t **)) {
  if (!json_is_object(json_object_get(params, "_meta"))) return invalid("_meta");
  Call *call = NULL;
  pthread_mutex_lock(&lock);
  for (int slot = 0; slot < SLOTS && !call; slot++) {
    if (!calls[slot].used) call = &calls[slot];
  }
  if (call) {
    *call = (Call){.id = json_incref(id), .params = json_incref(params), .used = true, .work = work};
    running++;
  }
  pthread_mutex_unlock(&lock);
  if (!call) return failure(-32020, "overloaded", "too many calls at once");
  if (start_thread(run_call, call)) return NULL;
  pthread_mutex_lock(&lock);
  *call = (Call){0};
  running--;
  pthread_mutex_unlock(&lock);
  return failure(-32020, "overloaded", "there is no thread left");
}

static json_t *initialize(json_t *params, json_t **error) {
  if (ready) return *error = failure(-32600, "invalidRequest", "initialize came twice"), NULL;
  if (strncmp(text_at(json_object_get(params, "protocol"), "min"), "1.", 2)) {
    return *error = failure(-32002, "versionMismatch", "this plugin speaks protocol 1.0"), NULL;
  }
  ready = true;
  json_t *names = json_array();
  for (int index = 0; index < METHODS; index++) json_array_append_new(names, json_string(methods[index].name));
  return json_pack("{s:s, s:{s:s, s:s}, s:o}", "protocol", "1.0", "plugin", "id", ID, "version", VERSION, "methods",
                   names);
}

// Answers a request, or starts the thread that will; returns the error to answer with.
static json_t *request(json_t *id, const char *method, json_t *params) {
  json_t *error = NULL;
  if (!strcmp(method, "initialize")) {
    json_t *result = initialize(params, &error);
    if (result) reply(id, result, NULL);
    return error;
  }
  if (!strcmp(method, "health/check") || !strcmp(method, "shutdown")) return reply(id, json_object(), NULL), NULL;
  if (!ready) return failure(-32600, "invalidRequest", "initialize comes first");
  if (!strcmp(method, "drain")) {
    draining = true;
    return start_thread(run_drain, json_incref(id)) ? NULL : failure(-32603, "internal", "there is no thread left");
  }
  for (int index = 0; index < METHODS; index++) {
    if (strcmp(method, methods[index].name)) continue;
    if (draining) return failure(-32021, "draining", "the plugin takes nothing new");
    return start_call(id, params, methods[index].work);
  }
  return failure(-32601, "methodNotFound", "there is no such method");
}

static void take_answer(json_t *message) {
  json_int_t id = json_integer_value(json_object_get(message, "id"));
  pthread_mutex_lock(&lock);
  for (int slot = 0; slot < SLOTS; slot++) {
    Call *call = &calls[slot];
    if (call->used && id > 0 && call->waiting_for == id && !call->answer) call->answer = json_incref(message);
  }
  pthread_cond_broadcast(&changed);
  pthread_mutex_unlock(&lock);
}

static void cancel(json_t *params) {
  json_t *id = json_object_get(params, "id");
  pthread_mutex_lock(&lock);
  for (int slot = 0; slot < SLOTS; slot++) {
    if (calls[slot].used && json_equal(calls[slot].id, id)) calls[slot].cancelled = true;
  }
  pthread_cond_broadcast(&changed);
  pthread_mutex_unlock(&lock);
}

static void receive(json_t *message) {
  json_t *id = json_object_get(message, "id"), *params = json_object_get(message, "params"), *error = NULL;
  const char *method = json_string_value(json_object_get(message, "method"));
  if (!json_object_get(message, "method")) return take_answer(message);
  if (method && !id) {
    if (!strcmp(method, "$/cancel")) cancel(params);
    return;
  }
  json_t *empty = params ? NULL : json_object();
  if (!method || !json_is_integer(id) || (params && !json_is_object(params))) {
    error = failure(-32600, "invalidRequest", "id, method or params has another type");
  } else {
    error = request(id, method, params ? params : empty);
  }
  if (error) reply(json_is_integer(id) ? id : json_null(), NULL, error);
  json_decref(empty);
}

int main(int count, char **arguments) {
  (void)arguments;
  if (count > 1 || isatty(0)) {
    fprintf(stderr, ID " " VERSION " is a plugin: a Rostrum host starts it and speaks to it over stdin and stdout.\n");
    return 64;
  }
  signal(SIGPIPE, SIG_IGN);
  out = dup(1);
  if (out < 0 || dup2(2, 1) < 0) return 71;  // whatever prints from here on lands on stderr
  char *line = NULL;
  size_t capacity = 0;
  ssize_t length;
  while ((length = getline(&line, &capacity, stdin)) > 0) {
    if (line[0] != '{') continue;
    json_t *message = json_loadb(line, (size_t)length, JSON_REJECT_DUPLICATES, NULL);
    if (message) {
      receive(message);
      json_decref(message);
    } else {
      send_message(json_pack("{s:n, s:o}", "id", "error", failure(-32700, "parse", "a frame is not JSON")));
    }
  }
  _exit(0);  // calls under way end with the process: the host has gone
}

"""##
    ),
    (
      "Makefile",
##"""
# One program without shared libraries: a jail needs to show it nothing else.
CFLAGS ?= -O2
bundle/adapter: adapter.c
	$(CC) -std=c11 $(CFLAGS) -Wall -Wextra -Werror -static -o $@ adapter.c -ljansson -pthread

test: bundle/adapter
	python3 -m unittest -q test_adapter
.PHONY: test

"""##
    ),
    (
      ".gitignore",
##"""
bundle/adapter

"""##
    ),
    ("test_adapter.py", processTests),
    ("bundle/manifest.json", manifest),
    ("bundle/README.md", readMe),
    ("conformance.json", cases),
  ]
}

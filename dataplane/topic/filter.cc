#include "dataplane/topic/filter.h"

#include "dataplane/topic/name.h"
#include "dataplane/topic/tenant.h"

namespace penstock {

bool valid_filter(std::string_view filter) {
  if (filter.empty() || filter.size() > kMaxTopicBytes) return false;
  for (std::string_view word; next_word(filter, word);) {
    if (word != "*" && word != "#" && !valid_topic(word)) return false;
  }
  return true;
}

// Each '#' takes as little as it can. When the rest doesn't fit, only the last '#' takes one word
// more: an earlier one could not help, for the words between the two fit where they are, and what
// comes later can only be fitted by moving the rest.
bool matches(std::string_view filter, std::string_view topic) {
  if (tenant_word(filter) || tenant_word(topic)) {
    if (tenant_of(filter) != tenant_of(topic)) return false;
    filter = bare_name(filter);
    topic = bare_name(topic);
  }
  std::string_view after_hash, retry_topic;  // the last '#': what follows it, and where that begins
  bool hash = false;
  for (;;) {
    std::string_view filter_rest = filter, topic_rest = topic, want, word;
    const bool more_filter = next_word(filter_rest, want);
    if (more_filter && want == "#") {
      hash = true;
      after_hash = filter_rest;
      retry_topic = topic;
      filter = filter_rest;
      continue;
    }
    const bool more_topic = next_word(topic_rest, word);
    if (!more_filter && !more_topic) return true;
    if (more_filter && more_topic && (want == "*" || want == word)) {
      filter = filter_rest;
      topic = topic_rest;
      continue;
    }
    // No fit here: the last '#' takes one word more, if there is a word.
    if (!hash || !next_word(retry_topic, word)) return false;
    filter = after_hash;
    topic = retry_topic;
  }
}

}  // namespace penstock

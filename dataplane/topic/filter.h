// Filters: topics with wildcards. '*' stands for exactly one word, '#' for any number of words,
// none included; both may stand anywhere, any number of times.
//
//   grad.*.w     grad.layer3.w    not grad.w, not grad.a.b.w
//   grad.#       grad, grad.layer3, grad.layer3.w
//   #.w          w, grad.layer3.w
//
// Neither takes the word of a tenant (tenant.h).
#pragma once

#include <string_view>

namespace penstock {

// Whether `filter` is one: like a topic, but a word may be '*' or '#' alone.
bool valid_filter(std::string_view filter);

// Whether the filter takes the topic. Of valid ones; of anything else the answer is either, but
// there is one. At most words(filter) * words(topic) comparisons, whatever the wildcards; no
// allocation.
bool matches(std::string_view filter, std::string_view topic);

}  // namespace penstock

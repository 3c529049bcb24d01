// A T, or one sentence for the operator: what was refused, why, and what to do about it.
#pragma once

#include <string>
#include <tl/expected.hpp>
#include <utility>

namespace penstock {

template <class T>
using OrSentence = tl::expected<T, std::string>;

inline tl::unexpected<std::string> sentence(std::string what) {
  return tl::unexpected<std::string>(std::move(what));
}

}  // namespace penstock

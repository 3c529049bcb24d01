// The name that somebody probably meant.
#pragma once

#include <span>
#include <string_view>

namespace penstock {

// The candidate with the least edit distance from `word` (insert, delete, replace and swap of
// neighbours count one each), or an empty view when none is near enough to be worth saying.
std::string_view nearest(std::string_view word, std::span<const std::string_view> candidates);

}  // namespace penstock

// One value: from the file into its slot, checked against its row, and back to text.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "control/config/options.h"

namespace penstock {

// What the file can hold for an option. `Other` is a kind of value that no option takes.
struct Other {
  std::string_view what;  // "a boolean"
};
using Literal = std::variant<int64_t, std::string, std::vector<std::string>, Other>;

// Puts `literal` into `slot`, or says what is wrong: "1000 is not allowed; allowed: ...".
std::optional<std::string> assign(const Option& option, const Literal& literal, Slot slot);

// Puts the row's default into `slot`; does nothing when it has none.
void assign_default(const Option& option, Slot slot);

// The slot's value as it is written in the file: 1024, "4MiB"; empty when it holds none.
std::string written(const Option& option, Slot slot);

// What the row allows, in words: "a power of two from 4 to 16777216".
std::string allowed(const Option& option);

// The row's choices.
std::vector<std::string_view> choices(const Option& option);

// `text` in quotes, what cannot be printed escaped, cut after 64 bytes.
std::string quoted(std::string_view text);

}  // namespace penstock

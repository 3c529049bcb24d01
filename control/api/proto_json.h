// Messages of control.proto to JSON and back: names as in the file, 64-bit numbers as numbers
// (protobuf's own printer makes strings of them).
#pragma once

#include <google/protobuf/message.h>
#include <optional>
#include <string>
#include <string_view>

namespace penstock {

// A field that was not set is there too, with its zero, unless it is `optional` or a message. Bytes
// that are no UTF-8 are replaced.
std::string to_json(const google::protobuf::Message& message);

// Fills `message`; fields that it does not have are passed over, with `strict` they are a fault.
// The text says what is wrong.
std::optional<std::string> from_json(std::string_view json, google::protobuf::Message& message,
                                     bool strict = false);

}  // namespace penstock

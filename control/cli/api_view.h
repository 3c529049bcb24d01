// Answers of the API as tables. Pure: JSON in, text out. A field that is not there is an empty
// cell, one of another type is a Failure.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>

namespace penstock::cli {

// `call`: a name in control.proto whose answer is a table.
std::string api_view(std::string_view call, const nlohmann::json& answer);

// A row of ListEvents as a line.
std::string event_line(const nlohmann::json& event);

}  // namespace penstock::cli

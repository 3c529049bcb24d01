#include "control/api/proto_json.h"

#include <google/protobuf/util/json_util.h>
#include <nlohmann/json.hpp>

namespace penstock {
namespace {

using google::protobuf::FieldDescriptor;
using google::protobuf::Message;
using google::protobuf::Reflection;
using nlohmann::json;

json object_of(const Message& m);

// The field's value, or that of its row `i`.
json value_of(const Message& m, const FieldDescriptor* f, int i) {
  const Reflection& r = *m.GetReflection();
  const bool many = f->is_repeated();
  switch (f->cpp_type()) {
    case FieldDescriptor::CPPTYPE_UINT64:
      return many ? r.GetRepeatedUInt64(m, f, i) : r.GetUInt64(m, f);
    case FieldDescriptor::CPPTYPE_UINT32:
      return many ? r.GetRepeatedUInt32(m, f, i) : r.GetUInt32(m, f);
    case FieldDescriptor::CPPTYPE_BOOL:
      return many ? r.GetRepeatedBool(m, f, i) : r.GetBool(m, f);
    case FieldDescriptor::CPPTYPE_STRING:
      return many ? r.GetRepeatedString(m, f, i) : r.GetString(m, f);
    case FieldDescriptor::CPPTYPE_MESSAGE:
      return object_of(many ? r.GetRepeatedMessage(m, f, i) : r.GetMessage(m, f));
    default:  // the file has no others; a test looks
      return nullptr;
  }
}

json rows_of(const Message& m, const FieldDescriptor* f) {
  const int n = m.GetReflection()->FieldSize(m, f);
  json rows = f->is_map() ? json::object() : json::array();
  for (int i = 0; i < n; i++) {
    json row = value_of(m, f, i);
    if (f->is_map())
      rows[row["key"].get<std::string>()] = row["value"];
    else
      rows.push_back(std::move(row));
  }
  return rows;
}

json object_of(const Message& m) {
  json object = json::object();
  for (int i = 0; i < m.GetDescriptor()->field_count(); i++) {
    const FieldDescriptor* f = m.GetDescriptor()->field(i);
    if (f->is_repeated())
      object[f->name()] = rows_of(m, f);
    else if (!f->has_presence() || m.GetReflection()->HasField(m, f))
      object[f->name()] = value_of(m, f, 0);
  }
  return object;
}

}  // namespace

std::string to_json(const Message& message) {
  return object_of(message).dump(-1, ' ', false, json::error_handler_t::replace);
}

std::optional<std::string> from_json(std::string_view json, Message& message, bool strict) {
  google::protobuf::util::JsonParseOptions options;
  options.ignore_unknown_fields = !strict;
  const auto status =
      google::protobuf::util::JsonStringToMessage({json.data(), json.size()}, &message, options);
  if (status.ok()) return std::nullopt;
  return std::string(status.message());
}

}  // namespace penstock

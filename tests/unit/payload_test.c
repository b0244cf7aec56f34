/* Payloads for people: labels in, JSON out. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "proto/client_codec.h"

static void expect_json(const char *bytes, size_t size, const char *json)
{
	struct buf out = {0};

	assert_int_equal(payload_to_json((const uint8_t *)bytes, size, &out), STATUS_OK);
	assert_int_equal(buf_append(&out, "", 1), STATUS_OK);
	assert_string_equal((const char *)out.bytes, json);
	buf_release(&out);
}

static void every_kind_of_value_has_its_json(void **state)
{
	expect_json("\x80", 1, "{}");
	expect_json("\x90", 1, "[]");
	expect_json("\x83\xa1""a\x01\xa1""b\x92\xc0\xc3\xa1""c\x81\xa1""d\x90", 15, "{\"a\":1,\"b\":[null,true],\"c\":{\"d\":[]}}");
	expect_json("\xcf\xff\xff\xff\xff\xff\xff\xff\xff", 9, "18446744073709551615");
	expect_json("\xd3\x80\x00\x00\x00\x00\x00\x00\x00", 9, "-9223372036854775808");
	expect_json("\xd0\x80", 2, "-128");
	expect_json("\xd1\x00\x05", 3, "5");
	expect_json("\xe0", 1, "-32");
	expect_json("\xca\x3f\x80\x00\x00", 5, "1");
	expect_json("\xcb\x3f\xb9\x99\x99\x99\x99\x99\x9a", 9, "0.1");
	expect_json("\xca\x7f\xc0\x00\x00", 5, "null");
	expect_json("\xca\xff\x80\x00\x00", 5, "null");
	expect_json("\xc4\x04\x01\x02\x03\x04", 6, "\"AQIDBA==\"");
	expect_json("\xc4\x03\xff\xfe\xfd", 5, "\"//79\"");
	expect_json("\xc4\x00", 2, "\"\"");
	expect_json("\xd4\x05\x01", 3, "\"BQE=\"");
	expect_json("\xa9\"\\\n\t\x7f\xc3\xa4ok", 10, "\"\\\"\\\\\\n\\u0009\\u007f\xc3\xa4ok\"");
	expect_json("\xa2\x1f ", 3, "\"\\u001f \"");
	expect_json("\x84\x01\x02\xc2\x03\xc0\x04\xff\x05", 9, "{\"1\":2,\"false\":3,\"null\":4,\"-1\":5}");
}

static void a_label_comes_back_as_json(void **state)
{
	struct buf payload = {0}, json = {0};

	assert_int_equal(payload_from_label("Ankle boot \"späte\"", &payload), STATUS_OK);
	assert_true(msgpack_scan(payload.bytes, payload.size, true));
	assert_int_equal(payload_to_json(payload.bytes, payload.size, &json), STATUS_OK);
	assert_int_equal(buf_append(&json, "", 1), STATUS_OK);
	assert_string_equal((const char *)json.bytes, "{\"label\":\"Ankle boot \\\"späte\\\"\"}");
	buf_release(&payload);
	buf_release(&json);
}

static void labels_have_their_limits(void **state)
{
	struct buf payload = {0};
	char *label = malloc(PAYLOAD_MAX + 1);

	assert_non_null(label);
	memset(label, 'x', PAYLOAD_MAX);
	label[PAYLOAD_MAX - 10] = 0; /* ten bytes stand before the text */
	assert_int_equal(payload_from_label(label, &payload), STATUS_OK);
	assert_int_equal(payload.size, PAYLOAD_MAX);
	assert_true(msgpack_scan(payload.bytes, payload.size, true));
	label[PAYLOAD_MAX - 10] = 'x';
	label[PAYLOAD_MAX - 9] = 0;
	assert_int_equal(payload_from_label(label, &payload), STATUS_LIMIT);
	assert_int_equal(payload_from_label("\xff", &payload), STATUS_BAD_REQUEST);
	assert_int_equal(payload.size, PAYLOAD_MAX); /* untouched */
	free(label);
	buf_release(&payload);
}

static void malformed_payloads_have_no_json(void **state)
{
	struct buf out = {0};

	assert_int_equal(payload_to_json((const uint8_t *)"\x81", 1, &out), STATUS_BAD_REQUEST);
	assert_int_equal(payload_to_json(NULL, 0, &out), STATUS_BAD_REQUEST);
	assert_int_equal(out.size, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_kind_of_value_has_its_json),
		cmocka_unit_test(a_label_comes_back_as_json),
		cmocka_unit_test(labels_have_their_limits),
		cmocka_unit_test(malformed_payloads_have_no_json),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

#include <time.h>
static FILE *tl_in;
static char *tl_token(void) {
    static char *line; static size_t room;
    ssize_t n = getline(&line, &room, tl_in);
    if (n < 0) exit(97);
    if (n && line[n - 1] == '\n') line[n - 1] = 0;
    return line;
}
static long long tl_read_int(void) { return strtoll(tl_token(), NULL, 10); }
static double tl_read_float(void) { return strtod(tl_token(), NULL); }
static bool tl_read_bool(void) { return tl_token()[0] == '1'; }
static const char *tl_read_str(void) {
    char *hex = tl_token() + 1; size_t n = strlen(hex) / 2; char *text = malloc(n + 1);
    for (size_t i = 0; i < n; i++) { unsigned byte; sscanf(hex + 2 * i, "%2x", &byte); text[i] = (char)byte; }
    text[n] = 0; return text;
}
static void tl_write_text(const char *s, size_t n) {
    fputc('"', tl_out);
    for (size_t i = 0; i < n; i++) {
        unsigned char c = (unsigned char)s[i];
        if (c == '"' || c == '\\') { fputc('\\', tl_out); fputc(c, tl_out); }
        else if (c < 32) fprintf(tl_out, "\\u%04x", c);
        else fputc(c, tl_out);
    }
    fputc('"', tl_out);
}
static void tl_write_int(long long v) { fprintf(tl_out, "%lld", v); }
static void tl_write_float(double v) { if (isfinite(v)) fprintf(tl_out, "%.17g", v); else fputs("\"not a number\"", tl_out); }
static void tl_write_bool(bool v) { fputs(v ? "true" : "false", tl_out); }
static void tl_write_str(const char *v) { if (v) tl_write_text(v, strlen(v)); else fputs("null", tl_out); }
static double tl_now(void) { struct timespec t; clock_gettime(CLOCK_MONOTONIC, &t); return t.tv_sec * 1e3 + t.tv_nsec / 1e6; }
static void tl_open(void) { tl_in = fopen("input", "r"); tl_keep_printed(); }
static void tl_begin(long long number) {
    tl_number = number; fprintf(tl_out, "%s{\"begin\":%lld}\n", TL_NONCE, number); fflush(tl_out);
}
static void tl_end(double started) {
    char text[4000]; size_t n = tl_take_printed(text, sizeof text);
    fprintf(tl_out, ",\"ms\":%.2f,\"stdout\":", tl_now() - started); tl_write_text(text, n);
    fputs("}\n", tl_out); fflush(tl_out);
}

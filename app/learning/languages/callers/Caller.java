import java.io.*;
import java.nio.charset.StandardCharsets;
import java.util.*;

public class Caller {
    static final Map<Class<?>, String> MEANT = Map.of(
        StackOverflowError.class, "a method calls itself without an end, or too deep",
        UnsupportedOperationException.class, "this collection cannot be changed");
    static volatile ByteArrayOutputStream open;  // what the case that has no answer yet has printed
    static BufferedReader in;
    static PrintStream out;

    static String token() throws IOException { return in.readLine(); }

    static String text() throws IOException {
        String hex = token();
        byte[] bytes = new byte[(hex.length() - 1) / 2];
        for (int i = 0; i < bytes.length; i++) bytes[i] = (byte) Integer.parseInt(hex.substring(1 + 2 * i, 3 + 2 * i), 16);
        return new String(bytes, StandardCharsets.UTF_8);
    }

    static Object read(String type) throws IOException {
        if (type.equals("int")) return Long.parseLong(token());
        if (type.equals("float")) return Double.parseDouble(token());
        if (type.equals("bool")) return token().equals("1");
        if (type.equals("str")) return text();
        String inner = type.substring(type.indexOf('[') + 1, type.length() - 1);
        if (type.startsWith("optional")) return token().equals("1") ? read(inner) : null;
        int length = Integer.parseInt(token());
        if (type.startsWith("list")) {
            List<Object> list = new ArrayList<>();
            for (int i = 0; i < length; i++) list.add(read(inner));
            return list;
        }
        Map<String, Object> map = new LinkedHashMap<>();
        for (int i = 0; i < length; i++) { String key = text(); map.put(key, read(inner)); }
        return map;
    }

    static void write(Object value, StringBuilder to) {
        if (value == null) to.append("null");
        else if (value instanceof String) quote((String) value, to);
        else if (value instanceof Map) {
            to.append('{');
            String comma = "";
            for (Map.Entry<?, ?> entry : ((Map<?, ?>) value).entrySet()) {
                to.append(comma); comma = ",";
                quote(String.valueOf(entry.getKey()), to); to.append(':'); write(entry.getValue(), to);
            }
            to.append('}');
        } else if (value instanceof Iterable) {
            to.append('[');
            String comma = "";
            for (Object item : (Iterable<?>) value) { to.append(comma); comma = ","; write(item, to); }
            to.append(']');
        } else if (value instanceof Double && !Double.isFinite((Double) value)) quote("not a number", to);
        else if (value instanceof Number || value instanceof Boolean) to.append(value);
        else throw new ClassCastException("a result of type " + value.getClass().getSimpleName() + " cannot be compared");
    }

    static void quote(String text, StringBuilder to) {
        to.append('"');
        for (char c : text.toCharArray()) {
            if (c == '"' || c == '\\') to.append('\\').append(c);
            else if (c < 32 || (c >= 0xD800 && c <= 0xDFFF)) to.append(String.format("\\u%04x", (int) c));
            else to.append(c);
        }
        to.append('"');
    }

    static String failure(Throwable error) {
        StringBuilder trace = new StringBuilder();
        int shown = 0;
        for (StackTraceElement frame : error.getStackTrace()) {
            if (!"Solution.java".equals(frame.getFileName()) || shown++ == 5) continue;
            if (trace.length() > 0) trace.append(',');
            quote("line " + frame.getLineNumber() + " in " + frame.getMethodName(), trace);
        }
        StringBuilder said = new StringBuilder("{\"type\":");
        quote(error.getClass().getSimpleName(), said);
        said.append(",\"message\":");
        quote(error.getMessage() != null ? error.getMessage() : MEANT.getOrDefault(error.getClass(), ""), said);
        return said.append(",\"trace\":[").append(trace).append("]}").toString();
    }

    @SuppressWarnings("unchecked")
    static Object call(Object[] a) throws Exception { return TL_CALL; }

    static void run() {
        try {
            in = new BufferedReader(new InputStreamReader(new FileInputStream("input"), StandardCharsets.US_ASCII));
            String[] types = {TL_TYPES};
            int count = Integer.parseInt(token());
            for (int number = 0; number < count; number++) {
                Object[] arguments = new Object[types.length];
                for (int i = 0; i < types.length; i++) arguments[i] = read(types[i]);
                ByteArrayOutputStream printed = new ByteArrayOutputStream();
                System.setOut(new PrintStream(printed, true, "UTF-8"));
                open = printed;
                out.println(TL_NONCE + "{\"begin\":" + number + "}");
                out.flush();
                StringBuilder answer = new StringBuilder();
                long started = System.nanoTime();
                try {
                    Object value = call(arguments);
                    answer.append(",\"value\":");
                    write(value, answer);
                } catch (Throwable error) {
                    answer.setLength(0);
                    answer.append(",\"error\":").append(failure(error));
                }
                double ms = (System.nanoTime() - started) / 1e6;
                open = null;
                answer.append(",\"stdout\":");
                quote(beginning(printed), answer);
                out.println(TL_NONCE + String.format(Locale.ROOT, "{\"case\":%d,\"ms\":%.2f", number, ms) + answer + "}");
                out.flush();
            }
        } catch (IOException error) {
            System.exit(97);
        }
    }

    static String beginning(ByteArrayOutputStream printed) {
        String said = new String(printed.toByteArray(), StandardCharsets.UTF_8);
        return said.substring(0, Math.min(said.length(), 4000));
    }

    static void tellWhatWasPrinted() {
        ByteArrayOutputStream printed = open;
        if (printed == null) return;
        StringBuilder line = new StringBuilder("\n" + TL_NONCE + "{\"printed\":");
        quote(beginning(printed), line);
        out.println(line + "}");
        out.flush();
    }

    public static void main(String[] none) throws Exception {
        out = new PrintStream(new FileOutputStream(FileDescriptor.out), true, "UTF-8");
        Runtime.getRuntime().addShutdownHook(new Thread(Caller::tellWhatWasPrinted));
        Thread solver = new Thread(null, Caller::run, "solution", 64L << 20);
        solver.start();
        solver.join();
        System.exit(0);
    }
}

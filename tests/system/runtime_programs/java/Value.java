package layered;

public class Value {
    public static final String VALUE = "from a layer";
}

// What a Java program does with the server through PostgreSQL's JDBC driver:
// java -cp JARS Jdbc.java URL USER PASSWORD. Prints one line for each thing
// that it did; test_pg_clients.py compares them.

import java.sql.Connection;
import java.sql.DatabaseMetaData;
import java.sql.DriverManager;
import java.sql.PreparedStatement;
import java.sql.ResultSet;
import java.sql.ResultSetMetaData;
import java.sql.SQLException;
import java.sql.Statement;
import java.sql.Timestamp;
import java.time.Instant;
import java.util.ArrayList;
import java.util.List;
import java.util.Properties;

public class Jdbc {
  public static void main(String[] args) throws Exception {
    Properties properties = new Properties();
    properties.setProperty("user", args[1]);
    properties.setProperty("password", args[2]);
    try (Connection c = DriverManager.getConnection(args[0], properties)) {
      DatabaseMetaData m = c.getMetaData();
      say("driver", m.getDriverVersion());
      say("server", m.getDatabaseProductName() + " " + m.getDatabaseMajorVersion());
      say("user", m.getUserName());
      say("catalogs", column(m.getCatalogs(), "TABLE_CAT"));
      say("schemas", column(m.getSchemas(), "TABLE_SCHEM"));
      say("table types", column(m.getTableTypes(), "TABLE_TYPE"));
      say("tables", column(m.getTables(null, "public", "%", new String[] {"TABLE", "VIEW"}), "TABLE_NAME"));
      say("columns", columns(m.getColumns(null, "public", "history", "%")));
      say("primary keys", column(m.getPrimaryKeys(null, "public", "history"), "COLUMN_NAME"));
      say("indexes", column(m.getIndexInfo(null, "public", "history", false, true), "INDEX_NAME"));
      say("imported keys", column(m.getImportedKeys(null, "public", "history"), "FK_NAME"));
      say("exported keys", column(m.getExportedKeys(null, "public", "history"), "FK_NAME"));
      say("best row", column(m.getBestRowIdentifier(null, "public", "history", 1, true), "COLUMN_NAME"));
      say("privileges", column(m.getTablePrivileges(null, "public", "history"), "GRANTEE"));
      say("column privileges", column(m.getColumnPrivileges(null, "public", "history", "%"), "GRANTEE"));
      say("types", String.valueOf(column(m.getTypeInfo(), "TYPE_NAME").contains("timestamptz")));
      say("functions", String.valueOf(count(m.getFunctions(null, null, "now"))));
      say("procedures", String.valueOf(count(m.getProcedures(null, null, "%"))));
      say("own types", column(m.getUDTs(null, "public", "%", null), "TYPE_NAME"));
      say("keywords", String.valueOf(m.getSQLKeywords().length() > 100));

      try (PreparedStatement p = c.prepareStatement(
          "SELECT event_name, log_offset, event_time, late, flags, ingest_date FROM history"
              + " WHERE event_time > ? AND event_name = ? ORDER BY log_offset")) {
        p.setTimestamp(1, Timestamp.from(Instant.parse("2020-01-01T00:00:00Z")));
        p.setString(2, "ListUsers");
        ResultSetMetaData d = p.getMetaData();
        List<String> types = new ArrayList<>();
        for (int i = 1; i <= d.getColumnCount(); i++) {
          types.add(d.getColumnName(i) + ":" + d.getColumnTypeName(i));
        }
        say("result", types.toString());
        // Five times and once more: then the driver goes over to binary.
        for (int i = 0; i < 7; i++) {
          try (ResultSet r = p.executeQuery()) {
            List<String> rows = new ArrayList<>();
            while (r.next()) {
              var flags = r.getArray(5);
              rows.add(r.getString(1) + " " + r.getTimestamp(3).toInstant() + " " + r.getBoolean(4) + " "
                  + (flags == null ? "no flags" : ((Object[]) flags.getArray())[0]));
            }
            if (i == 0 || i == 6) {
              say("rows " + i, rows.toString());
            }
          }
        }
      }
      c.setAutoCommit(false);
      try (Statement s = c.createStatement()) {
        s.setFetchSize(2);
        int n = 0;
        try (ResultSet r = s.executeQuery("SELECT event_id FROM history ORDER BY 1")) {
          while (r.next()) {
            n++;
          }
        }
        say("by twos", String.valueOf(n));
      }
      c.commit();
      c.setAutoCommit(true);
      try (Statement s = c.createStatement()) {
        s.executeQuery("SELECT no_such FROM history");
      } catch (SQLException e) {
        var server = ((org.postgresql.util.PSQLException) e).getServerErrorMessage();
        say("error", e.getSQLState() + " at " + server.getPosition());
      }
      try (Statement s = c.createStatement()) {
        s.execute("DELETE FROM history");
        say("delete", "done");
      } catch (SQLException e) {
        say("delete", e.getSQLState());
      }
    }
  }

  static void say(String what, String text) {
    System.out.println(what + ": " + text);
  }

  static int count(ResultSet r) throws SQLException {
    int n = 0;
    while (r.next()) {
      n++;
    }
    return n;
  }

  static String column(ResultSet r, String name) throws SQLException {
    List<String> all = new ArrayList<>();
    while (r.next()) {
      all.add(r.getString(name));
    }
    return all.toString();
  }

  static String columns(ResultSet r) throws SQLException {
    List<String> all = new ArrayList<>();
    while (r.next()) {
      all.add(r.getString("COLUMN_NAME") + ":" + r.getString("TYPE_NAME") + ":" + r.getString("IS_NULLABLE"));
    }
    return all.toString();
  }
}

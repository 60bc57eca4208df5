/** The part of Swagger UI that the page uses; the package has no types. */
declare module 'swagger-ui-dist/swagger-ui-es-bundle.js' {
  interface Request {
    headers: Record<string, string>;
  }
  export default function SwaggerUi(options: {
    domNode: HTMLElement;
    spec: unknown;
    deepLinking: boolean;
    validatorUrl: null;
    requestInterceptor: (request: Request) => Request;
  }): void;
}
